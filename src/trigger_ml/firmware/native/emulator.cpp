// The emulator's C interface: checks what it is given and chooses the code for the processor.
#include "network.h"

#include <cstddef>
#include <cstdint>

#define TML_JOIN_(a, b) a##b
#define TML_JOIN(a, b) TML_JOIN_(a, b)
#define TML_BLOCKS(target) TML_JOIN(TRIGGER_ML_NAME(blocks_), target)
#define TML_SIZE(target) TML_JOIN(TRIGGER_ML_NAME(size_), target)

#define TML_DECLARE(target)                                                                             \
    extern "C" void TML_BLOCKS(target)(const void *, std::size_t, std::int64_t *, std::int64_t *const *, void *); \
    extern "C" std::size_t TML_SIZE(target)();

// which of these were compiled is said by the build
#ifdef TML_WITH_AVX512
TML_DECLARE(avx512)
#endif
#ifdef TML_WITH_AVX2
TML_DECLARE(avx2)
#endif
#ifdef TML_WITH_PLAIN
TML_DECLARE(plain)
#endif

namespace {

using Blocks = void (*)(const void *, std::size_t, std::int64_t *, std::int64_t *const *, void *);

Blocks chosen() {
#ifdef TML_WITH_AVX512
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return TML_BLOCKS(avx512);
#endif
#ifdef TML_WITH_AVX2
    if (__builtin_cpu_supports("avx2")) return TML_BLOCKS(avx2);
#endif
#ifdef TML_WITH_PLAIN
    return TML_BLOCKS(plain);
#else
    return nullptr;
#endif
}

template <class T>
bool outside(const T *counts, std::size_t values, std::int64_t low, std::int64_t high) {
    bool found = false;
    for (std::size_t i = 0; i < values; ++i) {
        found |= static_cast<std::int64_t>(counts[i]) < low || static_cast<std::int64_t>(counts[i]) > high;
    }
    return found;
}

int evaluate(const void *counts, std::size_t events, std::int64_t *logits, std::int64_t *const *tapped,
             void *workspace) {
    if (events == 0) return TRIGGER_ML_OK;
    if (counts == nullptr || logits == nullptr || workspace == nullptr) return TRIGGER_ML_NULL;
    const Blocks blocks = chosen();
    if (blocks == nullptr) return TRIGGER_ML_PROCESSOR;
#ifndef TRIGGER_ML_EVERY_COUNT_ALLOWED
    const auto *values = static_cast<const TRIGGER_ML_NAME(count) *>(counts);
    if (outside(values, events * TRIGGER_ML_VALUES, TRIGGER_ML_LOW, TRIGGER_ML_HIGH)) return TRIGGER_ML_RANGE;
#endif
    blocks(counts, events, logits, tapped, workspace);
    return TRIGGER_ML_OK;
}

}  // namespace

extern "C" {

const trigger_ml_facts *TRIGGER_ML_NAME(facts)(void) {
    static const trigger_ml_facts facts = TRIGGER_ML_FACTS;
    return &facts;
}

std::size_t TRIGGER_ML_NAME(workspace)(void) {
    std::size_t most = 0;
#ifdef TML_WITH_AVX512
    most = TML_SIZE(avx512)() > most ? TML_SIZE(avx512)() : most;
#endif
#ifdef TML_WITH_AVX2
    most = TML_SIZE(avx2)() > most ? TML_SIZE(avx2)() : most;
#endif
#ifdef TML_WITH_PLAIN
    most = TML_SIZE(plain)() > most ? TML_SIZE(plain)() : most;
#endif
    return most;
}

int TRIGGER_ML_NAME(run)(const TRIGGER_ML_NAME(count) *counts, std::size_t events, std::int64_t *logits,
                         void *workspace) {
    return evaluate(counts, events, logits, nullptr, workspace);
}

int TRIGGER_ML_NAME(taps)(const TRIGGER_ML_NAME(count) *counts, std::size_t events, std::int64_t *logits,
                          std::int64_t *const *values, void *workspace) {
    if (values == nullptr) return TRIGGER_ML_NULL;
    return evaluate(counts, events, logits, values, workspace);
}

}  // extern "C"
