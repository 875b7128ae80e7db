// Events side by side: one lane of a vector for each. Integers only.
//
// Sums are formed in unsigned lanes, whose arithmetic is modulo 2^bits by definition: a partial sum may wrap, the
// result does not, since its interval was proven to fit before this code was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX512BW__)
#define TML_LANES 32
#elif defined(__AVX2__)
#define TML_LANES 16
#else
#define TML_LANES 8
#endif

#if defined(__AVX512BW__) || defined(__AVX2__) || defined(__SSSE3__)
#include <immintrin.h>
#endif

#define TML_INLINE static inline __attribute__((always_inline))

// one copy for each network and each processor: what several emulators in one process define must not meet
namespace {

constexpr int kLanes = TML_LANES;

template <class T>
struct Lanes {
    static constexpr std::size_t size = sizeof(T) * kLanes;
    typedef T type __attribute__((vector_size(size), aligned(size < 64 ? size : 64), may_alias));
};
template <class T>
using V = typename Lanes<T>::type;

template <class T>
TML_INLINE V<T> all(T value) {
    return V<T>{} + value;
}

// values of a storage type in lanes of another: extended by sign where the storage has one
template <class U, class T>
TML_INLINE V<U> as(V<T> x) {
    if constexpr (std::is_same_v<U, T>) {
        return x;
    } else {
        return __builtin_convertvector(x, V<U>);
    }
}

template <class U, class T>
TML_INLINE V<U> times(V<T> x, U factor) {
    return as<U, T>(x) * all<U>(factor);
}

enum class Round { truncate, half_up, half_even };
enum class Range { saturate, wrap };

// U: unsigned lanes of the sum; T: storage of the result; places: bits dropped (negative: appended)
template <class U, class T, int places, Round round, Range range, std::int64_t low, std::int64_t high, int width>
TML_INLINE V<T> quantize(V<U> sum) {
    using S = std::make_signed_t<U>;
    constexpr int bits = 8 * sizeof(U);
    V<S> x = (V<S>)sum;
    if constexpr (places > 0) {
        if constexpr (round == Round::half_up) {
            x = x + (S)(S(1) << (places - 1));
        } else if constexpr (round == Round::half_even) {
            x = x + (S)((S(1) << (places - 1)) - 1) + ((x >> places) & (S)1);
        }
        x = x >> places;
    } else if constexpr (places < 0) {
        x = (V<S>)((V<U>)x << -places);
    }
    if constexpr (range == Range::saturate) {
        const V<S> least = all<S>((S)low), most = all<S>((S)high);
        x = x < least ? least : x;
        x = x > most ? most : x;
    } else if constexpr (low < 0) {
        x = (V<S>)((V<U>)x << (bits - width)) >> (bits - width);
    } else {
        x = x & (S)high;
    }
    return as<T, S>(x);
}

// two channels, bytes without a sign, in one lane of 16 bits: the first is the low one
TML_INLINE V<std::uint16_t> together(V<std::uint16_t> first, V<std::uint16_t> second) {
    return first | (second << 8);
}

// the sum of both channels' products, which was proven to fit 16 bits
TML_INLINE V<std::uint16_t> pair(V<std::uint16_t> v, int a, int b) {
    const V<std::uint16_t> weights = all<std::uint16_t>((std::uint16_t)((a & 255) | (b & 255) << 8));
#if defined(__AVX512BW__)
    return (V<std::uint16_t>)_mm512_maddubs_epi16((__m512i)v, (__m512i)weights);
#elif defined(__AVX2__)
    return (V<std::uint16_t>)_mm256_maddubs_epi16((__m256i)v, (__m256i)weights);
#elif defined(__SSSE3__)
    return (V<std::uint16_t>)_mm_maddubs_epi16((__m128i)v, (__m128i)weights);
#else
    (void)weights;
    return (v & (std::uint16_t)255) * (std::uint16_t)a + (v >> 8) * (std::uint16_t)b;
#endif
}

template <class T>
TML_INLINE V<T> larger(V<T> a, V<T> b) {
    return a > b ? a : b;
}

// the nearest of the places 0 to size - 1
TML_INLINE int inside(int place, int size) { return place < 0 ? 0 : place < size ? place : size - 1; }

// the table's entry for each lane
template <class T, class K, std::int64_t low>
TML_INLINE V<T> found(const T *table, V<K> key) {
    V<T> entries;
    for (int i = 0; i < kLanes; ++i) {
        entries[i] = table[(std::int64_t)key[i] - low];
    }
    return entries;
}

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define TML_SHUFFLE 1
#endif
#endif

#ifdef TML_SHUFFLE
template <class T, int offset, int... i>
TML_INLINE V<T> woven(V<T> a, V<T> b, std::integer_sequence<int, i...>) {
    // a0 b0 a1 b1 ...
    return __builtin_shufflevector(a, b, ((i % 2) * kLanes + offset + i / 2)...);
}

#endif

// one row of every event, from one event after the other to one value of all events after the other
template <class T>
TML_INLINE void spread(const T *const *events, std::size_t first, int n, V<T> *out) {
    int k = 0;
#ifdef TML_SHUFFLE
    using Order = std::make_integer_sequence<int, kLanes>;
    for (; k + kLanes <= n; k += kLanes) {
        V<T> a[kLanes], b[kLanes];
        for (int i = 0; i < kLanes; ++i) {
            std::memcpy(&a[i], events[i] + first + k, sizeof(V<T>));
        }
        // a perfect shuffle, as often as two divides the lanes, is the transposition
        for (int half = kLanes; half > 1; half /= 2) {
            for (int i = 0; i < kLanes / 2; ++i) {
                b[2 * i] = woven<T, 0>(a[i], a[i + kLanes / 2], Order{});
                b[2 * i + 1] = woven<T, kLanes / 2>(a[i], a[i + kLanes / 2], Order{});
            }
            std::memcpy(a, b, sizeof a);
        }
        std::memcpy(&out[k], a, sizeof a);
    }
#endif
    for (; k < n; ++k) {
        for (int i = 0; i < kLanes; ++i) {
            out[k][i] = events[i][first + k];
        }
    }
}

// values of one node to the caller, one event after the other
template <class T>
TML_INLINE void collect(const V<T> *values, int n, int events, std::int64_t *out, std::size_t stride) {
    for (int i = 0; i < events; ++i) {
        for (int k = 0; k < n; ++k) {
            out[i * stride + k] = values[k][i];
        }
    }
}

TML_INLINE void collect_pairs(const V<std::uint16_t> *values, int n, int events, std::int64_t *out,
                              std::size_t stride) {
    for (int i = 0; i < events; ++i) {
        for (int k = 0; k < n; ++k) {
            out[i * stride + k] = k % 2 ? values[k / 2][i] >> 8 : values[k / 2][i] & 255;
        }
    }
}

}  // namespace
