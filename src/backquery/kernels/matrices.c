/* Products of matrices, and systems with a positive matrix: what a search asks of its linear algebra where there is
   no BLAS, as in a page of one file. Rows are padded with zeros to whole lines, which every width divides; a pitch
   is how many numbers lie from row to row. Numbers of rows and columns are 32 bits wide, as a page counts. */

#include "activations.h"
#include "vectors.h"

/* Vectors of a tile of columns: a line, so that no part of one is read twice. */
#define TILE ((int)(LINE / sizeof(vector)))
#define PAIR 2
#define FOUR 4

/* c = a b for some rows and one tile of columns. */
INLINE void tile_of(const int rows, const real *a, int32_t a_pitch, const real *b, int32_t pitch, real *c,
                    int32_t inner) {
    vector sums[PAIR][TILE];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < TILE; v++) sums[i][v] = (vector){0};
    }
    for (int32_t p = 0; p < inner; p++) {
        UNROLL
        for (int v = 0; v < TILE; v++) {
            const vector loaded = load(b + (int64_t)p * pitch + v * LANES);
            UNROLL
            for (int i = 0; i < rows; i++) sums[i][v] += a[i * a_pitch + p] * loaded;
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int v = 0; v < TILE; v++) store(c + (int64_t)i * pitch + v * LANES, sums[i][v]);
    }
}

/* c (rows x pitch) = a (rows x inner) b (inner x pitch). */
PUBLIC void NAME(product)(const real *a, int32_t a_pitch, const real *b, real *c, int32_t rows, int32_t inner,
                          int32_t pitch) {
    for (int32_t column = 0; column < pitch; column += TILE * LANES) {
        int32_t i = 0;
        for (; i + PAIR <= rows; i += PAIR)
            tile_of(PAIR, a + (int64_t)i * a_pitch, a_pitch, b + column, pitch, c + (int64_t)i * pitch + column, inner);
        if (i < rows)
            tile_of(1, a + (int64_t)i * a_pitch, a_pitch, b + column, pitch, c + (int64_t)i * pitch + column, inner);
    }
}

INLINE void dots_of(const int count, const real *a, const real *b, int32_t pitch, real *c) {
    vector sums[FOUR] = {0};
    for (int32_t k = 0; k < pitch; k += LANES) {
        const vector loaded = load(a + k);
        UNROLL
        for (int n = 0; n < count; n++) sums[n] += load(b + (int64_t)n * pitch + k) * loaded;
    }
    UNROLL
    for (int n = 0; n < count; n++) c[n] = total(sums[n]);
}

/* c (rows x c_pitch) = a (rows x pitch) b', b being (others x pitch); c beyond `others` stays as it is. */
PUBLIC void NAME(product_by_rows)(const real *a, const real *b, real *c, int32_t rows, int32_t others, int32_t pitch,
                                  int32_t c_pitch) {
    for (int32_t i = 0; i < rows; i++) {
        const real *row = a + (int64_t)i * pitch;
        real *out = c + (int64_t)i * c_pitch;
        int32_t n = 0;
        for (; n + FOUR <= others; n += FOUR) dots_of(FOUR, row, b + (int64_t)n * pitch, pitch, out + n);
        for (; n < others; n++) dots_of(1, row, b + (int64_t)n * pitch, pitch, out + n);
    }
}

/* sums (size x pitch) += sign row row'. */
PUBLIC void NAME(add_square)(real *sums, const real *row, real sign, int32_t size, int32_t pitch) {
    for (int32_t i = 0; i < size; i++) {
        const real share = sign * row[i];
        for (int32_t k = 0; k < pitch; k += LANES)
            store(sums + (int64_t)i * pitch + k, load(sums + (int64_t)i * pitch + k) + share * load(row + k));
    }
}

INLINE real dot(const real *a, const real *b, int32_t count) {
    vector sums = {0};
    real rest = 0;
    int32_t k = 0;
    for (; k + LANES <= count; k += LANES) sums += load(a + k) * load(b + k);
    for (; k < count; k++) rest += a[k] * b[k];
    return total(sums) + rest;
}

INLINE real root(real value) {
    return REAL_BITS == 32 ? (real)__builtin_sqrtf((float)value) : (real)__builtin_sqrt((double)value);
}

/* Solve a x = b for each of `count` rows b (count x pitch), in place, by Cholesky's factors, which take the place of
   the positive matrix a (size x pitch); 0 where it is none. */
PUBLIC int32_t NAME(solve_positive)(real *a, real *sides, int32_t size, int32_t count, int32_t pitch) {
    for (int32_t i = 0; i < size; i++) {
        real *row = a + (int64_t)i * pitch;
        for (int32_t j = 0; j < i; j++) {
            const real *other = a + (int64_t)j * pitch;
            row[j] = (row[j] - dot(row, other, j)) / other[j];
        }
        const real square = row[i] - dot(row, row, i);
        if (!(square > 0)) return 0;
        row[i] = root(square);
    }
    for (int32_t n = 0; n < count; n++) {
        real *side = sides + (int64_t)n * pitch;
        for (int32_t i = 0; i < size; i++) {
            const real *row = a + (int64_t)i * pitch;
            side[i] = (side[i] - dot(row, side, i)) / row[i];
        }
        for (int32_t i = size - 1; i >= 0; i--) {
            const real *row = a + (int64_t)i * pitch;
            const real found = side[i] / row[i];
            for (int32_t k = 0; k < i; k++) side[k] -= found * row[k];
            side[i] = found;
        }
    }
    return 1;
}
