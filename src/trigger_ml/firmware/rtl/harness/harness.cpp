// Drives the generated top module clock by clock: frames from a file, results and taps to files.
//
// usage: simulator frames results taps count gap stall reset seed
//   frames   32-bit words, one beat after the other
//   results  for each frame: clock of its first beat, clock of its result (64 bit), result in 32-bit words
//   taps     prefix of one file per stage with every beat that left it ("" for none)
//   count    frames in the file
//   gap      probability that the input has no beat in a clock
//   stall    probability that the output is not taken in a clock
//   reset    probability of a reset in a clock; frames without a result are then sent again
//   seed     of the random numbers
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "design.h"
#include "verilated.h"

namespace {

template <class T>
void put(const T& value, std::vector<uint32_t>& out) {
    out.push_back(static_cast<uint32_t>(value));
    if (sizeof(T) > 4) out.push_back(static_cast<uint32_t>(static_cast<uint64_t>(value) >> 32));
}
template <std::size_t N>
void put(const VlWide<N>& value, std::vector<uint32_t>& out) {
    for (std::size_t i = 0; i < N; ++i) out.push_back(value[i]);
}
template <class T>
void get(T& value, const uint32_t* in) {
    uint64_t low = in[0];
    if (sizeof(T) > 4) low |= static_cast<uint64_t>(in[1]) << 32;
    value = static_cast<T>(low);
}
template <std::size_t N>
void get(VlWide<N>& value, const uint32_t* in) {
    for (std::size_t i = 0; i < N; ++i) value[i] = in[i];
}

struct File {
    std::FILE* stream;
    File(const std::string& name, const char* mode) : stream(std::fopen(name.c_str(), mode)) {
        if (!stream) {
            std::fprintf(stderr, "cannot open %s\n", name.c_str());
            std::exit(2);
        }
    }
    ~File() { std::fclose(stream); }
    void words(const std::vector<uint32_t>& w) { std::fwrite(w.data(), 4, w.size(), stream); }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 9) return 2;
    const std::string taps = argv[3];
    const uint64_t count = std::strtoull(argv[4], nullptr, 10);
    const double gap = std::atof(argv[5]), stall = std::atof(argv[6]), reset = std::atof(argv[7]);
    std::mt19937_64 random(std::strtoull(argv[8], nullptr, 10));
    std::uniform_real_distribution<double> uniform;

    std::vector<uint32_t> frames(count * FRAME_BEATS * BEAT_WORDS);
    {
        File in(argv[1], "rb");
        if (std::fread(frames.data(), 4, frames.size(), in.stream) != frames.size()) return 2;
    }
    File results(argv[2], "wb");
    std::vector<std::unique_ptr<File>> tap_files;
    if (!taps.empty())
        for (const char* name : TAP_NAMES) tap_files.push_back(std::make_unique<File>(taps + name, "wb"));

    const auto context = std::make_unique<VerilatedContext>();
    context->randReset(2);  // registers without reset start with random bits
    context->randSeed(1 + static_cast<int>(random() & 0x7fffff));
    const auto top = std::make_unique<TOP_CLASS>(context.get());
    const auto clock_edge = [&] {
        top->aclk = 1;
        top->eval();
        top->aclk = 0;
        top->eval();
    };
    top->aclk = 0;
    top->aresetn = 0;
    top->s_axis_tvalid = 0;
    top->m_axis_tready = 0;
    top->eval();
    for (int i = 0; i < 4; ++i) clock_edge();

    uint64_t clock = 0, beat = 0, done = 0, idle = 0;
    std::vector<uint64_t> entered(count);
    std::vector<uint32_t> words;
    bool offering = false;
    while (done < count) {
        const bool resets = reset > 0 && uniform(random) < reset;
        // a beat once offered stays until it is taken
        if (!offering) offering = beat < count * FRAME_BEATS && (gap <= 0 || uniform(random) >= gap);
        top->aresetn = !resets;
        top->s_axis_tvalid = offering && !resets;
        if (offering) get(top->s_axis_tdata, &frames[beat * BEAT_WORDS]);
        top->m_axis_tready = stall <= 0 || uniform(random) >= stall;
        top->eval();
        if (resets) {
            beat = done * FRAME_BEATS;
            offering = false;
        } else {
            if (!tap_files.empty()) {
                std::size_t tap = 0;
#define TAP(NAME)                                                      \
    if (top->rootp->NAME##_tvalid && top->rootp->NAME##_tready) {      \
        words.clear();                                                 \
        put(top->rootp->NAME##_tdata, words);                          \
        tap_files[tap]->words(words);                                  \
    }                                                                  \
    ++tap;
                TAPS
            }
            if (top->s_axis_tvalid && top->s_axis_tready) {
                if (beat % FRAME_BEATS == 0) entered[beat / FRAME_BEATS] = clock;
                ++beat;
                offering = false;
            }
            if (top->m_axis_tvalid && top->m_axis_tready) {
                words.clear();
                put(entered[done], words);
                put(clock, words);
                put(top->m_axis_tdata, words);
                results.words(words);
                ++done;
                idle = 0;
            }
        }
        clock_edge();
        ++clock;
        if (++idle > IDLE_LIMIT) {
            std::fprintf(stderr, "no result for %d clocks after %llu frames\n", IDLE_LIMIT,
                         static_cast<unsigned long long>(done));
            return 3;
        }
    }
    top->final();
    return 0;
}
