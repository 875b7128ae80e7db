// The loop over blocks of events, for one processor.
#pragma once

#define TML_JOIN_(a, b) a##b
#define TML_JOIN(a, b) TML_JOIN_(a, b)

extern "C" std::size_t TML_JOIN(TRIGGER_ML_NAME(size_), TML_TARGET)() { return sizeof(Workspace) + 64; }

extern "C" void TML_JOIN(TRIGGER_ML_NAME(blocks_), TML_TARGET)(const void *counts, std::size_t events,
                                                               std::int64_t *logits,
                                                               std::int64_t *const *tapped, void *workspace) {
    using Count = TRIGGER_ML_NAME(count);
    const auto address = reinterpret_cast<std::uintptr_t>(workspace);
    auto &w = *reinterpret_cast<Workspace *>((address + 63) / 64 * 64);
    // zeros around maps are written once; rows are written before they are read
    std::memset(static_cast<void *>(&w), 0, sizeof w);
    const auto *all_counts = static_cast<const Count *>(counts);
    for (std::size_t first = 0; first < events; first += kLanes) {
        const int n = events - first < kLanes ? int(events - first) : kLanes;
        const Count *rows[kLanes];
        for (int i = 0; i < kLanes; ++i) {
            // lanes without an event repeat the last one
            rows[i] = all_counts + (first + (i < n ? i : n - 1)) * std::size_t(TRIGGER_ML_VALUES);
        }
        block(w, rows, n, logits + first * kOutputs, tapped, first);
    }
}
