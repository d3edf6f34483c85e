/* The losses of a batch on the CPU, each row in a few passes that stay in the cache: softmax, prefix sums, gradient.

   The equations are those of the plain PyTorch forms beside this file, which are the reference in the tests. Logits and
   what comes out are float, by rows. What is NULL is left out. Rows are taken some lanes at a time with the compilers' own
   vectors (GCC 12, Clang). A function returns 0, 1 where a label is out of range or a row of soft labels no distribution, 2 without memory. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
enum { STRETCH = 512 }; /* prefix sums run in float for so many classes, and in double from stretch to stretch */

typedef float floats __attribute__((vector_size(4 * LANES), aligned(4)));
typedef int32_t ints __attribute__((vector_size(4 * LANES)));

/* What every loss is given, and where its results go. */
typedef struct {
    const float *logits;
    int64_t logits_step; /* from row to row */
    const int64_t *labels;
    const float *targets; /* distributions by rows; NULL where there are labels */
    int64_t size, num_classes;
    float *values;           /* `size` numbers for each term of the loss; NULL where only their sum is wanted */
    float *sum;              /* `scale` times the sum of all values */
    float *gradient;         /* in the logits: that of all terms, each times `scale` and its slopes */
    const float *slopes[2];  /* `size` numbers; NULL: all are 1; only where there are two terms */
    int64_t zeros;           /* out: how many distances between different classes that were read are 0 */
    float scale;
    int threads;
} Batch;

/* D by columns, `step` numbers apart, one a class or one a sample; float or double. */
typedef struct {
    const void *numbers;
    int64_t step;
    int by_sample, is_double;
} Distances;

#define ROW_CODE static inline __attribute__((always_inline))

ROW_CODE floats load(const float *from) { return *(const floats *)from; }
ROW_CODE void store(float *to, floats values) { *(floats *)to = values; }
ROW_CODE floats all(float value) { return value - (floats){0}; }
ROW_CODE floats if_so(ints condition, floats value) { return (floats)(condition & (ints)value); } /* else 0 */
ROW_CODE floats size_of(floats v) { return if_so(~(v < 0), v) - if_so(v < 0, v); }

/* The larger of each two, and b where one is NaN. */
ROW_CODE floats larger(floats a, floats b) {
#ifdef __AVX512F__
    return (floats)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined __AVX__
    return (floats)_mm256_max_ps((__m256)a, (__m256)b);
#else
    return if_so(a > b, a) + if_so(~(a > b), b);
#endif
}

ROW_CODE float sum(floats v) {
#ifdef __AVX512F__
    return _mm512_reduce_add_ps((__m512)v);
#else
    float total = 0;
    for (int lane = 0; lane < LANES / 2; lane++) total += v[lane] + v[lane + LANES / 2];
    return total;
#endif
}

ROW_CODE float largest(floats v) { /* NaN only where all are */
#ifdef __AVX512F__
    return _mm512_reduce_max_ps((__m512)v);
#else
    float most = v[0];
    for (int lane = 1; lane < LANES; lane++) most = v[lane] > most ? v[lane] : most;
    return most;
#endif
}

#ifdef __AVX512F__
#define SHIFTED(v, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) \
    __builtin_shufflevector((floats){0}, v, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)

/* v0, v0 + v1, ..., the sum of all. */
ROW_CODE floats prefix_sums(floats v) {
    v += SHIFTED(v, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30);
    v += SHIFTED(v, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29);
    v += SHIFTED(v, 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27);
    v += SHIFTED(v, 0, 0, 0, 0, 0, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22, 23);
    return v;
}
ROW_CODE floats last(floats v) {
    return __builtin_shufflevector(v, v, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15);
}
static const ints NUMBERED = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
ROW_CODE floats prefix_sums(floats v) {
    v += __builtin_shufflevector((floats){0}, v, 0, 8, 9, 10, 11, 12, 13, 14);
    v += __builtin_shufflevector((floats){0}, v, 0, 0, 8, 9, 10, 11, 12, 13);
    v += __builtin_shufflevector((floats){0}, v, 0, 0, 0, 0, 8, 9, 10, 11);
    return v;
}
ROW_CODE floats last(floats v) { return __builtin_shufflevector(v, v, 7, 7, 7, 7, 7, 7, 7, 7); }
static const ints NUMBERED = {0, 1, 2, 3, 4, 5, 6, 7};
#endif

/* exp for x <= 0 to 2 units in the last place: 2^n e^r with abs(r) <= ln 2 / 2. NaN stays NaN. */
ROW_CODE floats exponential(floats x) {
    const floats rounding = all(12582912.0f); /* 1.5 * 2^23: what is added to it becomes an integer in the low bits */
    floats shifted = x * 1.44269504f + rounding;
    floats n = shifted - rounding;
    floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    floats e = all(1.9875691500e-4f);
    e = e * r + 1.3981999507e-3f;
    e = e * r + 8.3334519073e-3f;
    e = e * r + 4.1665795894e-2f;
    e = e * r + 1.6666665459e-1f;
    e = e * r + 5.0000001201e-1f;
    e = e * (r * r) + r + 1.0f;
    floats power = (floats)(((ints)shifted << 23) + (ints)all(1.0f));
    return if_so(~(x < -87.0f), e * power);
}

static float *values_of(const Batch *batch, int terms) {
    return batch->values ? batch->values : malloc(terms * batch->size * sizeof(float));
}

static int done(const Batch *batch, float *values, int terms, int failed) {
    if (batch->sum && !failed) {
        double total = 0;
        for (int64_t i = 0; i < terms * batch->size; i++) total += values[i];
        *batch->sum = (float)(total * batch->scale);
    }
    if (!batch->values) free(values);
    return failed;
}

ROW_CODE int64_t padded_to_lanes(int64_t num_classes) { return (num_classes + LANES - 1) / LANES * LANES; }

/* The first numbers of a vector, and fillers. Made in a register: what is stored one by one is slow to load as a whole. */
ROW_CODE floats load_part(const float *from, int count, float filler) {
#ifdef __AVX512F__
    return (floats)_mm512_mask_loadu_ps((__m512)all(filler), (__mmask16)((1u << count) - 1), from);
#elif defined __AVX__
    ints mask = NUMBERED < count;
    return (floats)_mm256_maskload_ps(from, (__m256i)mask) + if_so(~mask, all(filler));
#else
    floats part = all(filler);
    for (int lane = 0; lane < count; lane++) part[lane] = from[lane];
    return part;
#endif
}

/* A row filled up to whole vectors. */
ROW_CODE void copy_row(float *to, const float *from, int64_t num_classes, int64_t padded, float filler) {
    int64_t whole = num_classes / LANES * LANES;
    for (int64_t i = 0; i < whole; i += LANES) store(to + i, load(from + i));
    if (whole < padded) store(to + whole, load_part(from + whole, (int)(num_classes - whole), filler));
}

/* Turns a padded row of logits into probabilities; the sum of the exponentials is e^greatest total. */
ROW_CODE void softmax(float *row, int64_t padded, float *greatest, float *total) {
    floats most = all(-INFINITY), sums = {0};
    for (int64_t i = 0; i < padded; i += LANES) most = larger(load(row + i), most);
    *greatest = largest(most);
    for (int64_t i = 0; i < padded; i += LANES) {
        floats e = exponential(load(row + i) - *greatest);
        store(row + i, e);
        sums += e;
    }
    *total = sum(sums);
    float share = 1 / *total;
    for (int64_t i = 0; i < padded; i += LANES) store(row + i, load(row + i) * share);
}

/* Eq. 9 or 10 of a row of probabilities. `target`: a padded distribution, or NULL for the class `label`; `gaps`: the
   padded spacing, 0 from the last class on. `pushes`, if wanted: the sums of the slopes of the loss before each class,
   which are the coefficients of Eq. 11 up to sign and a constant; `mean_push`: their mean under p. */
ROW_CODE float squared_emd_row(
    const float *p, const float *target, int64_t label, const float *gaps, int64_t padded, int order, float *pushes,
    float *mean_push
) {
    int64_t at = target ? -1 : label - label % LANES; /* where the vector with the label begins */
    floats loss = {0}, mean = {0}, mark = if_so(NUMBERED == (int32_t)(label % LANES), all(1));
    double gap_before = 0, push_before = 0;
    for (int64_t begin = 0; begin < padded; begin += STRETCH) {
        int64_t end = begin + STRETCH < padded ? begin + STRETCH : padded;
        floats gap_start = all((float)gap_before), push_start = all((float)push_before), moved = {0}, pushed = {0};
        for (int64_t i = begin; i < end; i += LANES) {
            floats difference = load(p + i), spacing = load(gaps + i);
            if (target) difference -= load(target + i);
            if (i == at) difference -= mark;
            floats sums = prefix_sums(difference);
            floats gap = gap_start + (moved + sums); /* CDF_i(p) - CDF_i(t) */
            moved += last(sums);
            loss += spacing * (order == 2 ? gap * gap : size_of(gap));
            if (!pushes) continue;
            floats slope = spacing * (order == 2 ? 2 * gap : if_so(gap > 0, all(1)) - if_so(gap < 0, all(1)));
            sums = prefix_sums(slope);
            floats push = push_start + (pushed + (sums - slope));
            pushed += last(sums);
            store(pushes + i, push);
            mean += push * load(p + i);
        }
        gap_before += moved[0];
        push_before += pushed[0];
    }
    *mean_push = sum(mean);
    return sum(loss);
}

/* Whether t is a distribution, give or take 1 %. */
static int is_distribution(const float *t, int64_t num_classes) {
    double total = 0;
    int negative = 0;
    for (int64_t i = 0; i < num_classes; i++) {
        total += t[i];
        negative |= !(t[i] >= 0);
    }
    return !negative && fabs(total - 1) <= 1e-2;
}

/* Eq. 9 (order 1) or 10 (order 2). */
int squared_emd(Batch *batch, const float *spacing, int order) {
    int64_t num_classes = batch->num_classes, padded = padded_to_lanes(num_classes);
    int failed = 0, wants_gradient = batch->gradient != NULL;
    float *values = values_of(batch, 1), *gaps = calloc(padded, sizeof(float));
    if (!gaps || !values) {
        free(gaps);
        return done(batch, values, 1, 2);
    }
    for (int64_t i = 0; i + 1 < num_classes; i++) gaps[i] = spacing ? spacing[i] : 1;
#pragma omp parallel num_threads(batch->threads) if (batch->threads > 1) reduction(| : failed)
    {
        float *p = malloc(3 * padded * sizeof(float)), *target = p + padded, *pushes = p + 2 * padded;
        float mean, greatest, total;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < batch->size; b++) {
            const float *t = batch->targets ? batch->targets + b * num_classes : NULL;
            int64_t label = t ? 0 : batch->labels[b];
            int fits = t ? is_distribution(t, num_classes) : label >= 0 && label < num_classes;
            failed |= (fits ? 0 : 1) | (p ? 0 : 2);
            if (!fits || !p) continue;
            copy_row(p, batch->logits + b * batch->logits_step, num_classes, padded, -INFINITY);
            softmax(p, padded, &greatest, &total);
            if (t) copy_row(target, t, num_classes, padded, 0);
            if (t || order == 1) /* the usual case is compiled by itself */
                values[b] = squared_emd_row(p, t ? target : NULL, label, gaps, padded, order, pushes, &mean);
            else
                values[b] = squared_emd_row(p, NULL, label, gaps, padded, 2, wants_gradient ? pushes : NULL, &mean);
            if (!wants_gradient) continue;
            for (int64_t i = 0; i < padded; i += LANES)
                store(p + i, batch->scale * (load(p + i) * (mean - load(pushes + i))));
            memcpy(batch->gradient + b * num_classes, p, num_classes * sizeof(float));
        }
        free(p);
    }
    free(gaps);
    return done(batch, values, 1, failed);
}

/* The column of D for a sample, filled up to whole vectors. */
ROW_CODE void read_column(
    float *to, const Distances *from, int64_t b, int64_t label, int64_t num_classes, int64_t padded, float filler
) {
    int64_t first = (from->by_sample ? b : label) * from->step;
    if (!from->is_double) {
        copy_row(to, (const float *)from->numbers + first, num_classes, padded, filler);
        return;
    }
    for (int64_t i = 0; i < num_classes; i++) to[i] = (float)((const double *)from->numbers)[first + i];
    for (int64_t i = num_classes; i < padded; i++) to[i] = filler;
}

/* Turns distances to a class into the costs D^omega + mu; those of a class that is not known are 0. Counts the
   distances of 0. */
ROW_CODE void costs(
    float *cost, double omega, float mu, const uint8_t *known, int64_t label, int64_t num_classes, int64_t padded,
    ints *zeros
) {
    for (int64_t i = 0; i < padded; i += LANES) {
        floats distance = load(cost + i);
        *zeros -= distance == 0;
        if (omega == 1 || omega == 2) store(cost + i, (omega == 2 ? distance * distance : distance) + mu);
    }
    if (omega != 1 && omega != 2)
        for (int64_t i = 0; i < num_classes; i++) cost[i] = powf(cost[i], (float)omega) + mu;
    if (known)
        for (int64_t i = 0; i < num_classes; i++) cost[i] = known[i] && known[label] ? cost[i] : 0;
}

/* Eq. 16 for class indices, its terms apart: -log(p_k + eps), and `weight` times sum_i p_i^2 (D[i, k]^omega + mu).
   `known`: the classes that cost anything; NULL: all. `true_class_cost` is NaN where there is none. */
int self_guided(
    Batch *batch, const Distances *distances, const uint8_t *known, double omega, float mu, float true_class_cost,
    float eps, float weight
) {
    int64_t num_classes = batch->num_classes, padded = padded_to_lanes(num_classes), zeros = 0;
    int failed = 0, has_own_cost = true_class_cost == true_class_cost;
    float *values = values_of(batch, 2);
    if (!values) return 2;
    const float *entropy_slopes = batch->slopes[0], *regularizer_slopes = batch->slopes[1];
#pragma omp parallel num_threads(batch->threads) if (batch->threads > 1) reduction(| : failed) reduction(+ : zeros)
    {
        float *p = malloc(2 * padded * sizeof(float)), *cost = p + padded;
        ints found = {0};
#pragma omp for schedule(static)
        for (int64_t b = 0; b < batch->size; b++) {
            const float *x = batch->logits + b * batch->logits_step;
            int64_t label = batch->labels[b];
            int fits = label >= 0 && label < num_classes;
            failed |= (fits ? 0 : 1) | (p ? 0 : 2);
            if (!fits || !p) continue;
            read_column(cost, distances, b, label, num_classes, padded, 1); /* a class too many is no 0, and has p = 0 */
            zeros -= cost[label] == 0;
            costs(cost, omega, mu, known, label, num_classes, padded, &found);
            if (has_own_cost) cost[label] = 0;
            copy_row(p, x, num_classes, padded, -INFINITY);
            float greatest, total;
            softmax(p, padded, &greatest, &total);
            float own = p[label], miss = 1 - own;
            floats value = {0};
            for (int64_t i = 0; i < padded; i += LANES) value += load(p + i) * load(p + i) * load(cost + i);
            float regularizer = sum(value), own_cost = has_own_cost ? true_class_cost : 0;
            values[b] = eps > 0 ? -logf(own + eps) : greatest + logf(total) - x[label];
            values[batch->size + b] = weight * (regularizer + own_cost * miss * miss);
            if (!batch->gradient) continue;
            float slope = 2 * weight * batch->scale * (regularizer_slopes ? regularizer_slopes[b] : 1);
            float of_own = batch->scale * (entropy_slopes ? entropy_slopes[b] : 1);
            of_own *= eps > 0 ? own / (own + eps) : 1; /* p_k times the slope of log(p_k + eps) */
            of_own += slope * own_cost * miss * own;
            float mean = slope * regularizer - of_own, *to = batch->gradient + b * num_classes;
            for (int64_t i = 0; i < padded; i += LANES)
                store(p + i, load(p + i) * (slope * load(p + i) * load(cost + i) - mean));
            memcpy(to, p, num_classes * sizeof(float));
            to[label] -= of_own;
        }
        for (int lane = 0; lane < LANES; lane++) zeros += found[lane];
        free(p);
    }
    batch->zeros = zeros;
    return done(batch, values, 2, failed);
}

/* sum_i p_i (D[i, k] + log(p_i) / strength) for class indices, without the logarithm where `inverse_strength` is 0: Eq.
   14, or the entropic transport problem, whose plan is known. */
int expected_cost(Batch *batch, const Distances *distances, float inverse_strength) {
    int64_t num_classes = batch->num_classes, padded = padded_to_lanes(num_classes);
    int failed = 0;
    float *values = values_of(batch, 1);
    if (!values) return 2;
#pragma omp parallel num_threads(batch->threads) if (batch->threads > 1) reduction(| : failed)
    {
        float *p = malloc(2 * padded * sizeof(float)), *cost = p + padded;
#pragma omp for schedule(static)
        for (int64_t b = 0; b < batch->size; b++) {
            const float *x = batch->logits + b * batch->logits_step;
            int64_t label = batch->labels[b];
            int fits = label >= 0 && label < num_classes;
            failed |= (fits ? 0 : 1) | (p ? 0 : 2);
            if (!fits || !p) continue;
            read_column(cost, distances, b, label, num_classes, padded, 0);
            copy_row(p, x, num_classes, padded, -INFINITY);
            float greatest, total;
            softmax(p, padded, &greatest, &total);
            float log_total = greatest + logf(total);
            if (inverse_strength != 0)
                for (int64_t i = 0; i < num_classes; i++) cost[i] += inverse_strength * (x[i] - log_total);
            floats value = {0};
            for (int64_t i = 0; i < padded; i += LANES) value += load(p + i) * load(cost + i);
            float mean = values[b] = sum(value);
            if (!batch->gradient) continue;
            for (int64_t i = 0; i < padded; i += LANES)
                store(p + i, batch->scale * (load(p + i) * (load(cost + i) - mean)));
            memcpy(batch->gradient + b * num_classes, p, num_classes * sizeof(float));
        }
        free(p);
    }
    return done(batch, values, 1, failed);
}
