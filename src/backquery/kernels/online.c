/* Training one image at a time, in blocks: the arithmetic of single steps at the memory traffic of a batch.

   The first layer is by far the largest. Over a block of images its weights change by sum_j g_j x_j' (g_j the
   learning rate times the layer's delta for image j), so the pre-activations of image i need only the weights W
   as they stood when the block began:

       a_i = W x_i + sum over j < i of (x_j . x_i) g_j

   Hence a block reads W once for a few images together, works through its images in their order with the Gram
   matrix of the inputs, and writes W once: exactly the weights of one step after another, up to rounding. Inputs
   that are mostly one background value c are written x = c 1 + s with s sparse, and the weights W' = V + 1 u'
   with the column sums S of V, so that pixels without ink are never visited:

       W x_i = sum_k s_ik V_k + c S + (n c + sum_k s_ik) u

   V lies inputs by nodes, so that a pixel's weights lie together, and beside them lies the pixel's ink in all images
   of the block: so the same sums over pixels give W x_i and the Gram matrix. All later layers are dense and change
   after every image. Rows are padded with zeros to whole lines. */

#include "activations.h"
#include "vectors.h"

/* Images a block, one bit of a set each. Larger blocks read and write the weights less often, but take more
   for the Gram matrix, and must leave the weights their place in the cache. */
#define BLOCK (REAL_BITS == 32 ? 32 : 16)
typedef uint32_t set;

/* Images that are combined with the rows together. Of more images, fewer pixels are blank in all. */
#define GROUP 2
#define GROUPS (BLOCK / GROUP)

/* A word has a bit for each of so many pixels, whose weights stay in the nearest cache while all groups read them. */
#define SPAN 64

/* One word for each group. */
typedef uint64_t word_vector __attribute__((vector_size(VECTOR_BYTES)));
#define WORDS ((int)(VECTOR_BYTES / sizeof(uint64_t)))
#define WORD_VECTORS (GROUPS / WORDS)

/* For each number of vectors of a row that may be held in registers: by `combine`, and by `add`. */
#if VECTOR_BYTES == 64 || defined(__aarch64__)
#define COMBINED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9)
#define ADDED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(14)
#elif VECTOR_BYTES == 32
#define COMBINED(do) do(1) do(2) do(3) do(4) do(5) do(6)
#define ADDED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9)
#else
#define COMBINED(do) do(1) do(2) do(3) do(4) do(5)
#define ADDED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8)
#endif
#define MOST 14

/* Nodes of a later layer that are combined together. */
#define NODES 5

/* A network, what it is to learn, and room to work in.

   sizes: (layers + 1) nodes; codes, leaks, biased: (layers) activations, their slopes below zero, and whether
   there are biases. background: c; starts, places, values: the ink s as compressed sparse rows; without places,
   (images x inputs) values. labels: (images); targets: (labels x outputs), the answers to learn. first: V, (inputs
   x padded nodes); later: the other layers' weights (nodes x padded inputs) one after the other; biases: all
   layers', each padded. totals: (2) sum of the losses and number of right answers, added to; each image is judged
   before its step. room: as many bytes as `room` says, beginning at a line. */
struct training {
    int64_t layers;
    const int64_t *sizes;
    const int32_t *codes;
    const real *leaks;
    const uint8_t *biased;
    int64_t loss;
    double background;
    const int64_t *starts;
    const uint32_t *places;
    const real *values;
    const int64_t *labels;
    const real *targets;
    real *first;
    real *later;
    real *biases;
    double *totals;
    void *room;
};

/* What a block of images and a step need; all arrays lie in the room. Images are numbered by their slots. */
struct block {
    int64_t width, pitch;            /* how many weights a row has, and numbers from row to row */
    int64_t slots[BLOCK];            /* (images) in the order in which they are learned */
    uint32_t *pixels;                /* (used) the pixels that any image inks, */
    int64_t used, spans, span;       /* how many they are, in how many spans, of how many pixels each, */
    word_vector *shown;              /* (spans x WORD_VECTORS) and which of a span's pixels each group inks */
    set *inked;                      /* (inputs) by which images a pixel is inked */
    real *sums, *steps;              /* (BLOCK x pitch) pre-activations and products of the ink; and the steps g */
    real *ink, *paper;               /* (BLOCK) sums of the ink; c */
    real *shared, *column_sums;      /* (width) u and S */
    real *signals, *errors, *deltas; /* of all layers, each padded; */
    real *moves;                     /* the deltas times the learning rate */
    real *rows;                      /* (inputs x pitch) V and the ink */
};

INLINE int64_t padded(int64_t count) {
    const int64_t lanes = LINE / sizeof(real);
    return (count + lanes - 1) / lanes * lanes;
}

/* Where the next array lies; nothing is there yet where the bytes are only counted. */
struct place {
    uintptr_t next;
    int is_there;
};

INLINE void *taken(struct place *place, int64_t bytes) {
    const uintptr_t begin = place->next, end = begin + bytes;
    place->next += (bytes + LINE - 1) / LINE * LINE + FENCE;
    if (place->is_there) ASAN_POISON_MEMORY_REGION((void *)end, place->next - end);
    return (void *)begin;
}

/* Lay the arrays of a block out in the room, or in none; the number of bytes that they take. */
static int64_t lay_out(const struct training *it, struct block *block, void *room) {
    struct place place = {(uintptr_t)room, room != 0};
    const int64_t inputs = it->sizes[0], line = LINE / sizeof(real);
    int64_t nodes = 0;
    for (int64_t n = 1; n <= it->layers; n++) nodes += padded(it->sizes[n]);
    block->width = padded(it->sizes[1]);
    block->pitch = block->width + BLOCK;
    /* An odd number of lines, so that the rows of a column fall into different sets of the cache. */
    block->pitch += block->pitch / line % 2 ? 0 : line;
    block->pixels = taken(&place, (inputs + 1) * sizeof *block->pixels);
    block->shown = taken(&place, (inputs + SPAN - 1) / SPAN * WORD_VECTORS * sizeof *block->shown);
    block->inked = taken(&place, inputs * sizeof *block->inked);
    block->sums = taken(&place, BLOCK * block->pitch * sizeof(real));
    block->steps = taken(&place, BLOCK * block->pitch * sizeof(real));
    block->ink = taken(&place, BLOCK * sizeof(real));
    block->paper = taken(&place, BLOCK * sizeof(real));
    block->shared = taken(&place, block->width * sizeof(real));
    block->column_sums = taken(&place, block->width * sizeof(real));
    block->signals = taken(&place, nodes * sizeof(real));
    block->errors = taken(&place, nodes * sizeof(real));
    block->deltas = taken(&place, nodes * sizeof(real));
    block->moves = taken(&place, nodes * sizeof(real));
    block->rows = taken(&place, inputs * block->pitch * sizeof(real));
    return place.next - (uintptr_t)room;
}

/* sums += ink times rows, over those pixels of a span that the group inks. */
INLINE void combine(const int vectors, const real *rows, const real *ink, int64_t pitch, const uint32_t *pixels,
                    uint64_t shown, real *sums) {
    vector kept[GROUP][MOST];
    UNROLL
    for (int i = 0; i < GROUP; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) kept[i][v] = load(sums + i * pitch + v * LANES);
    }
    while (shown) {
        const int64_t row = pixels[__builtin_ctzll(shown)] * pitch;
        shown &= shown - 1;
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const vector loaded = load(rows + row + v * LANES);
            UNROLL
            for (int i = 0; i < GROUP; i++) kept[i][v] += ink[row + i] * loaded;
        }
    }
    UNROLL
    for (int i = 0; i < GROUP; i++) {
        UNROLL
        for (int v = 0; v < vectors; v++) store(sums + i * pitch + v * LANES, kept[i][v]);
    }
}

/* row += sum over the images i of `chosen` of shares[i] rows[i]. */
INLINE void add(const int vectors, real *row, const real *shares, set chosen, const real *rows, int64_t pitch) {
    vector kept[MOST];
    UNROLL
    for (int v = 0; v < vectors; v++) kept[v] = load(row + v * LANES);
    while (chosen) {
        const int i = __builtin_ctz(chosen);
        const real *other = rows + i * pitch;
        chosen &= chosen - 1;
        UNROLL
        for (int v = 0; v < vectors; v++) kept[v] += shares[i] * load(other + v * LANES);
    }
    UNROLL
    for (int v = 0; v < vectors; v++) store(row + v * LANES, kept[v]);
}

/* One function for each number of vectors, which the compiler then knows, and a table of them. */
#define COMBINE(vectors) \
    static void combine_##vectors(const real *rows, const real *ink, int64_t pitch, const uint32_t *pixels, \
                                  uint64_t shown, real *sums) { \
        combine(vectors, rows, ink, pitch, pixels, shown, sums); \
    }
#define ADD(vectors) \
    static void add_##vectors(real *row, const real *shares, set chosen, const real *rows, int64_t pitch) { \
        add(vectors, row, shares, chosen, rows, pitch); \
    }
#define COMBINE_OF(vectors) combine_##vectors,
#define ADD_OF(vectors) add_##vectors,

COMBINED(COMBINE)
ADDED(ADD)

typedef void combiner(const real *, const real *, int64_t, const uint32_t *, uint64_t, real *);
typedef void adder(real *, const real *, set, const real *, int64_t);
static combiner *const combiners[] = {COMBINED(COMBINE_OF)};
static adder *const adders[] = {ADDED(ADD_OF)};

/* The columns of rows, in tiles of nearly equal numbers of vectors. */
struct tiles {
    int64_t count, vectors;
};

INLINE struct tiles tiles_of(int64_t width, int64_t most) {
    const int64_t vectors = width / LANES;
    return (struct tiles){(vectors + most - 1) / most, vectors};
}

INLINE int64_t begin_of(struct tiles tiles, int64_t tile) {
    return tiles.vectors * tile / tiles.count;
}

/* `add` for all columns. */
static void add_rows(real *row, int64_t width, const real *shares, set chosen, const real *rows, int64_t pitch) {
    const struct tiles tiles = tiles_of(width, LENGTH(adders));
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        adders[begin_of(tiles, tile + 1) - begin - 1](row + column, shares, chosen, rows + column, pitch);
    }
}

/* Give each image its slot, by their labels: images that are alike ink the same pixels, and so should a group's. */
static void seat(const struct training *it, struct block *block, const int64_t *order, int64_t images) {
    int64_t labels[BLOCK];
    for (int64_t i = 0; i < images; i++) labels[i] = it->labels[order[i]];
    for (int64_t i = 0; i < images; i++) {
        block->slots[i] = 0;
        for (int64_t j = 0; j < images; j++) block->slots[i] += labels[j] < labels[i] + (j < i);
    }
}

/* Ask for an image's ink before it is needed: shuffled images lie anywhere. */
static void ask_for(const struct training *it, int64_t image) {
    if (!it->places) return;
    for (int64_t n = it->starts[image]; n < it->starts[image + 1]; n += LINE / sizeof(real)) {
        __builtin_prefetch(it->places + n);
        __builtin_prefetch(it->values + n);
    }
}

/* Put an image's ink beside the weights. */
static APART void pack(const struct training *it, struct block *block, int64_t image, int64_t slot) {
    const int64_t inputs = it->sizes[0], begin = it->places ? it->starts[image] : image * inputs;
    const int64_t count = it->places ? it->starts[image + 1] - begin : inputs;
    const uint32_t *restrict places = it->places ? it->places + begin : 0;
    const real *restrict values = it->values + begin;
    const int64_t pitch = block->pitch;
    const set own = (set)1 << slot;
    real *restrict ink = block->rows + block->width + slot;
    set *restrict inked = block->inked;
    for (int64_t n = 0; n < count; n++) {
        const int64_t pixel = places ? places[n] : n;
        inked[pixel] |= own;
        ink[pixel * pitch] = values[n];
    }
}

/* Find the pixels that are inked. */
static APART void survey(struct block *block, int64_t inputs) {
    int64_t used = 0;
    for (int64_t pixel = 0; pixel < inputs; pixel++) {
        /* Written in any case, and kept if it is inked: a branch would be guessed wrong. */
        block->pixels[used] = (uint32_t)pixel;
        used += block->inked[pixel] != 0;
    }
    block->used = used;
    block->spans = (used + SPAN - 1) / SPAN;
    block->span = block->spans ? (used + block->spans - 1) / block->spans : 0;
}

/* Find which pixels each group inks, and how much each image is inked. */
static APART void divide(struct block *block) {
    word_vector groups[WORD_VECTORS];
    vector ink[BLOCK / LANES] = {0};
    for (int group = 0; group < GROUPS; group++)
        groups[group / WORDS][group % WORDS] = (((uint64_t)1 << GROUP) - 1) << group * GROUP;
    for (int64_t span = 0; span < block->spans; span++) {
        const int64_t begin = span * block->span;
        word_vector shown[WORD_VECTORS] = {0};
        for (int64_t n = begin; n < block->used && n < begin + block->span; n++) {
            const int64_t pixel = block->pixels[n];
            const uint64_t inked = block->inked[pixel], own = (uint64_t)1 << (n - begin);
            UNROLL
            for (int v = 0; v < WORD_VECTORS; v++) shown[v] |= (word_vector)((groups[v] & inked) != 0) & own;
            UNROLL
            for (int v = 0; v < BLOCK / LANES; v++)
                ink[v] += load(block->rows + pixel * block->pitch + block->width + v * LANES);
        }
        for (int v = 0; v < WORD_VECTORS; v++) block->shown[span * WORD_VECTORS + v] = shown[v];
    }
    for (int v = 0; v < BLOCK / LANES; v++) store(block->ink + v * LANES, ink[v]);
}

/* What the weights and the images themselves make of a block's ink, before any step of it. */
static void look(struct block *block) {
    const int64_t pitch = block->pitch;
    const struct tiles tiles = tiles_of(block->width + BLOCK, LENGTH(combiners));
    for (int64_t k = 0; k < BLOCK * pitch; k++) block->sums[k] = 0;
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        combiner *const work = combiners[begin_of(tiles, tile + 1) - begin - 1];
        for (int64_t span = 0; span < block->spans; span++) {
            const uint32_t *pixels = block->pixels + span * block->span;
            const word_vector *shown = block->shown + span * WORD_VECTORS;
            for (int64_t group = 0; group < GROUPS; group++)
                work(block->rows + column, block->rows + block->width + group * GROUP, pitch, pixels,
                     shown[group / WORDS][group % WORDS], block->sums + group * GROUP * pitch + column);
        }
    }
}

/* Turn the pre-activations z (padded to `width`) into outputs; the padding becomes zero. */
static void activate(int code, real leak, real *z, int64_t size, int64_t width) {
    if (code == SIGMOID) {
        for (int64_t k = 0; k < width; k += LANES) store(z + k, logistic(load(z + k)));
    } else if (code == TANH) {
        for (int64_t k = 0; k < width; k += LANES) store(z + k, 2 * logistic(2 * load(z + k)) - 1);
    } else if (code == RELU || code == LEAKY_RELU) {
        for (int64_t k = 0; k < width; k++) z[k] = z[k] > 0 ? z[k] : leak * z[k];
    } else if (code == SOFTMAX) {
        real largest = z[0], sum = 0;
        for (int64_t k = 1; k < size; k++) largest = z[k] > largest ? z[k] : largest;
        for (int64_t k = 0; k < width; k += LANES) store(z + k, exponential(load(z + k) - largest));
        for (int64_t k = 0; k < size; k++) sum += z[k];
        for (int64_t k = 0; k < size; k++) z[k] /= sum;
    }
    for (int64_t k = size; k < width; k++) z[k] = 0;
}

/* deltas = errors * f'(z), with f' read from the outputs h; `width` numbers each. */
static void times_slope(int code, real leak, const real *restrict h, const real *restrict errors,
                        real *restrict deltas, int64_t width) {
    if (code == SIGMOID || code == SOFTMAX)
        for (int64_t k = 0; k < width; k++) deltas[k] = errors[k] * (h[k] - h[k] * h[k]);
    else if (code == TANH)
        for (int64_t k = 0; k < width; k++) deltas[k] = errors[k] * (1 - h[k] * h[k]);
    else if (code == IDENTITY)
        for (int64_t k = 0; k < width; k++) deltas[k] = errors[k];
    else
        for (int64_t k = 0; k < width; k++) deltas[k] = h[k] > 0 ? errors[k] : leak * errors[k];
}

/* The cross-entropy of one image's outputs h, half the squared error otherwise. */
static double loss_of(int code, int64_t loss, const real *h, const real *target, int64_t size) {
    const double tiny = 1e-30;
    double lost = 0;
    for (int64_t k = 0; k < size; k++) {
        const double wanted = target[k], got = h[k];
        if (loss != CROSS_ENTROPY) {
            lost += 0.5 * (wanted - got) * (wanted - got);
            continue;
        }
        if (wanted != 0) lost -= wanted * logarithm(got > tiny ? got : tiny);
        if (code == SIGMOID && wanted != 1) lost -= (1 - wanted) * logarithm(1 - got > tiny ? 1 - got : tiny);
    }
    return lost;
}

/* Errors and deltas of the output layer for one image; the padding of both stays zero. */
static void judge(int code, real leak, int64_t loss, const real *h, const real *target, real *errors, real *deltas,
                  int64_t size) {
    for (int64_t k = 0; k < size; k++) errors[k] = target[k] - h[k];
    if (loss == CROSS_ENTROPY) {
        real share = 0;
        for (int64_t k = 0; k < size; k++) share += target[k];
        for (int64_t k = 0; k < size; k++) deltas[k] = target[k] - (code == SOFTMAX ? h[k] * share : h[k]);
    } else if (loss == SQUARED && code == SOFTMAX) {
        real mean = 0;
        for (int64_t k = 0; k < size; k++) mean += h[k] * errors[k];
        for (int64_t k = 0; k < size; k++) deltas[k] = h[k] * (errors[k] - mean);
    } else {
        times_slope(code, leak, h, errors, deltas, size);
    }
}

/* The pre-activations of `nodes` nodes, a constant: weights (nodes x width) . h + biases. */
INLINE void nodes_of(const int nodes, const real *weights, int64_t width, const real *h, const real *biases, real *z) {
    vector sums[NODES] = {0};
    for (int64_t k = 0; k < width; k += LANES) {
        const vector below = load(h + k);
        UNROLL
        for (int n = 0; n < nodes; n++) sums[n] += load(weights + n * width + k) * below;
    }
    UNROLL
    for (int n = 0; n < nodes; n++) z[n] = total(sums[n]) + biases[n];
}

/* errors += W' sent with the weights as they are, then W += steps h', for `vectors` columns of W (nodes x width). */
INLINE void send(const int vectors, real *weights, int64_t nodes, int64_t width, const real *h, const real *sent,
                 const real *steps, real *errors) {
    vector below[2], error[2] = {0};
    UNROLL
    for (int v = 0; v < vectors; v++) below[v] = load(h + v * LANES);
    for (int64_t n = 0; n < nodes; n++) {
        UNROLL
        for (int v = 0; v < vectors; v++) {
            real *place = weights + n * width + v * LANES;
            const vector w = load(place);
            error[v] += sent[n] * w;
            store(place, w + steps[n] * below[v]);
        }
    }
    UNROLL
    for (int v = 0; v < vectors; v++) store(errors + v * LANES, error[v]);
}

/* errors = W' sent with the weights as they are, then W += steps h', in one pass over W. */
static APART void send_back(real *weights, int64_t nodes, int64_t width, const real *h, const real *sent,
                            const real *steps, real *errors) {
    int64_t k = 0;
    for (; k + 2 * LANES <= width; k += 2 * LANES) send(2, weights + k, nodes, width, h + k, sent, steps, errors + k);
    for (; k < width; k += LANES) send(1, weights + k, nodes, width, h + k, sent, steps, errors + k);
}

/* One layer's pre-activations z = W h + biases, and their sum. */
static APART real layer(const real *weights, int64_t nodes, int64_t width, const real *h, const real *biases, real *z) {
    int64_t n = 0;
    for (; n + NODES <= nodes; n += NODES) nodes_of(NODES, weights + n * width, width, h, biases + n, z + n);
    for (; n < nodes; n++) nodes_of(1, weights + n * width, width, h, biases + n, z + n);
    real sum = 0;
    for (n = 0; n < nodes; n++) sum += z[n];
    return sum;
}

/* The first layer's pre-activations for the block's image i, with the steps of those before it; their sum. */
static real first_layer(const struct training *it, const struct block *block, int64_t i, set before) {
    const real c = (real)it->background, area = (real)(it->sizes[0] * it->background);
    const real weight = area + block->ink[i];
    const int64_t width = block->width;
    real *a = block->sums + i * block->pitch, *products = a + block->width;
    for (int j = 0; j < BLOCK; j++) products[j] += c * (weight + block->ink[j]);
    add_rows(a, width, products, before, block->steps, block->pitch);
    vector sum = {0};
    for (int64_t k = 0; k < width; k += LANES) {
        vector z = load(a + k) + c * load(block->column_sums + k) + weight * load(block->shared + k);
        if (it->biased[0]) z += load(it->biases + k);
        sum += z;
        store(block->signals + k, z);
    }
    return total(sum);
}

/* All signals for the block's image i; not finite where a pre-activation is not. */
static real forwards(const struct training *it, const struct block *block, int64_t i, set before) {
    real check = first_layer(it, block, i, before), *weights = it->later, *below = block->signals;
    const real *bias = it->biases;
    activate(it->codes[0], it->leaks[0], below, it->sizes[1], block->width);
    for (int64_t n = 1; n < it->layers; n++) {
        const int64_t size = it->sizes[n + 1], width = padded(it->sizes[n]);
        real *above = below + width;
        bias += width;
        check += layer(weights, size, width, below, bias, above);
        weights += size * width;
        activate(it->codes[n], it->leaks[n], above, size, padded(size));
        below = above;
    }
    return check;
}

/* Learn from the block's image i: the later layers at once, the first when the block ends. */
static void backwards(const struct training *it, const struct block *block, int64_t i, int64_t label, real rate) {
    const int64_t last = it->layers - 1, outputs = it->sizes[it->layers];
    int64_t end = 0, weights = 0;
    for (int64_t n = 0; n < last; n++) {
        end += padded(it->sizes[n + 1]);
        weights += it->sizes[n + 2] * padded(it->sizes[n + 1]);
    }
    const real *h = block->signals + end, *target = it->targets + label * outputs;
    int64_t best = 0;
    for (int64_t k = 1; k < outputs; k++) best = h[k] > h[best] ? k : best;
    it->totals[0] += loss_of(it->codes[last], it->loss, h, target, outputs);
    it->totals[1] += best == label;
    judge(it->codes[last], it->leaks[last], it->loss, h, target, block->errors + end, block->deltas + end, outputs);
    for (int64_t n = last; n > 0; n--) {
        const int64_t size = it->sizes[n + 1], width = padded(it->sizes[n]), below = end - width;
        const real *sent = (it->loss == BOOK ? block->errors : block->deltas) + end;
        weights -= size * width;
        real *steps = block->moves + end;
        for (int64_t k = 0; k < size; k++) steps[k] = rate * block->deltas[end + k];
        send_back(it->later + weights, size, width, block->signals + below, sent, steps, block->errors + below);
        if (it->biased[n])
            for (int64_t k = 0; k < size; k++) it->biases[end + k] += steps[k];
        times_slope(it->codes[n - 1], it->leaks[n - 1], block->signals + below, block->errors + below,
                    block->deltas + below, width);
        end = below;
    }
    real *step = block->steps + i * block->pitch;
    for (int64_t k = 0; k < block->width; k += LANES) {
        const vector moved = rate * load(block->deltas + k);
        store(step + k, moved);
        if (it->biased[0]) store(it->biases + k, load(it->biases + k) + moved);
    }
}

/* Bring a block's steps into the first layer, and take its ink away. */
static void learn(struct block *block, set images) {
    const int64_t width = block->width, pitch = block->pitch;
    const struct tiles tiles = tiles_of(width, LENGTH(adders));
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        adder *const add_to = adders[begin_of(tiles, tile + 1) - begin - 1];
        for (int64_t n = 0; n < block->used; n++) {
            const int64_t pixel = block->pixels[n];
            real *row = block->rows + pixel * pitch;
            add_to(row + column, row + width, block->inked[pixel], block->steps + column, pitch);
            if (tile + 1 < tiles.count) continue;
            block->inked[pixel] = 0;
            for (int64_t k = 0; k < BLOCK; k += LANES) store(row + width + k, (vector){0});
        }
    }
    add_rows(block->column_sums, width, block->ink, images, block->steps, pitch);
    add_rows(block->shared, width, block->paper, images, block->steps, pitch);
}

/* The bytes of room that a training takes. */
PUBLIC int64_t NAME(room)(const struct training *it) {
    struct block block;
    return lay_out(it, &block, 0);
}

/* Lay a block out, with the weights beside blank ink. */
static struct block opened(const struct training *it) {
    struct block block = {0};
    lay_out(it, &block, 0);
    /* The rows lie last, and begin where they would if the room began at zero. */
    const real *rows = (real *)((uintptr_t)it->room + (uintptr_t)block.rows);
    for (real *place = it->room; place < rows; place++) *place = 0;
    lay_out(it, &block, it->room);
    for (int64_t k = 0; k < BLOCK; k++) block.paper[k] = (real)it->background;
    for (int64_t pixel = 0; pixel < it->sizes[0]; pixel++) {
        const real *weights = it->first + pixel * block.width;
        real *row = block.rows + pixel * block.pitch;
        for (int64_t k = 0; k < block.width; k++) {
            row[k] = weights[k];
            block.column_sums[k] += weights[k];
        }
        for (int64_t k = block.width; k < block.pitch; k++) row[k] = 0;
    }
    return block;
}

/* Give the weights back, with u in them, so that rounding does not gather in it. */
static void give_back(const struct training *it, const struct block *block) {
    for (int64_t pixel = 0; pixel < it->sizes[0]; pixel++)
        for (int64_t k = 0; k < block->width; k++)
            it->first[pixel * block->width + k] = block->rows[pixel * block->pitch + k] + block->shared[k];
    ASAN_UNPOISON_MEMORY_REGION(it->room, NAME(room)(it));
}

/* One step for each image of `order`, in place; the position of the first image that diverged, or -1.
   The learning rate runs linearly from rate before the first of these images to rate_after after the last. */
PUBLIC int64_t NAME(train)(const struct training *it, const int64_t *order, int64_t count, double rate,
                           double rate_after) {
    struct block block = opened(it);
    int64_t failed = -1;
    for (int64_t begin = 0; begin < count && failed < 0; begin += BLOCK) {
        const int64_t images = count - begin < BLOCK ? count - begin : BLOCK;
        set before = 0;
        seat(it, &block, order + begin, images);
        for (int64_t i = 0; i < images; i++) {
            if (begin + i + 1 < count) ask_for(it, order[begin + i + 1]);
            pack(it, &block, order[begin + i], block.slots[i]);
        }
        survey(&block, it->sizes[0]);
        divide(&block);
        look(&block);
        for (int64_t i = 0; i < images; i++) {
            const int64_t image = order[begin + i], slot = block.slots[i];
            const real pace = (real)(rate + (rate_after - rate) * (double)(begin + i) / (double)count);
            const real check = forwards(it, &block, slot, before);
            if (!(check - check == 0)) {
                failed = begin + i;
                break;
            }
            backwards(it, &block, slot, it->labels[image], pace);
            before |= (set)1 << slot;
        }
        if (failed < 0) learn(&block, before);
    }
    give_back(it, &block);
    return failed;
}

/* The elements of `inputs` (images x pixels) that differ from `background`, less it, as sparse rows. Each is written
   and kept if it counts, so there must be room for one more: a branch would be guessed wrong. */
PUBLIC void NAME(compress)(const real *restrict inputs, int64_t images, int64_t pixels, double background,
                           int64_t *restrict starts, uint32_t *restrict places, real *restrict values) {
    const real blank = (real)background;
    int64_t used = 0;
    for (int64_t i = 0; i < images; i++) {
        starts[i] = used;
        for (int64_t k = 0; k < pixels; k++) {
            const real input = inputs[i * pixels + k];
            places[used] = (uint32_t)k;
            values[used] = input - blank;
            used += input != blank;
        }
    }
    starts[images] = used;
}

/* Eight bytes at once, to see whether all are zero. */
INLINE uint64_t eight(const uint8_t *bytes) {
    typedef uint64_t anywhere __attribute__((aligned(1), may_alias));
    return *(const anywhere *)bytes;
}

/* The inked pixels of raw images (images x pixels), times `gain`, as the sparse rows of `compress`. */
PUBLIC void NAME(compress_pixels)(const uint8_t *restrict inks, int64_t images, int64_t pixels, double gain,
                                  int64_t *restrict starts, uint32_t *restrict places, real *restrict values) {
    real inked[256];
    int64_t used = 0;
    for (int ink = 0; ink < 256; ink++) inked[ink] = (real)(ink * gain);
    for (int64_t i = 0; i < images; i++) {
        const uint8_t *image = inks + i * pixels;
        starts[i] = used;
        for (int64_t begin = 0; begin < pixels; begin += 8) {
            const int64_t end = begin + 8 < pixels ? begin + 8 : pixels;
            if (end - begin == 8 && !eight(image + begin)) continue;
            for (int64_t k = begin; k < end; k++) {
                places[used] = (uint32_t)k;
                values[used] = inked[image[k]];
                used += image[k] != 0;
            }
        }
    }
    starts[images] = used;
}

/* Pre-activations of one image to signals in place, as a training does it: (size) of `width`, whole lines. */
PUBLIC void NAME(activate)(int32_t code, real leak, real *z, int32_t size, int32_t width) {
    activate(code, leak, z, size, width);
}

/* e^x of `count` numbers, a multiple of a line's; and natural logarithms of any count. For the tests. */
PUBLIC void NAME(exponentials)(const real *x, int64_t count, real *powers) {
    for (int64_t k = 0; k < count; k += LANES) store(powers + k, exponential(load(x + k)));
}

PUBLIC void NAME(logarithms)(const double *x, int64_t count, double *logarithms) {
    for (int64_t k = 0; k < count; k++) logarithms[k] = logarithm(x[k]);
}
