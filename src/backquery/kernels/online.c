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

   V lies inputs by nodes, so that a pixel's weights lie together. All later layers are dense and change after
   every image. Rows are padded with zeros to whole lines. */

#include "activations.h"
#include "vectors.h"

/* Images a block, one bit of a set each. Larger blocks read and write the weights less often, but take more
   for the Gram matrix, and must leave the weights their place in the cache. */
#define BLOCK (REAL_BITS == 32 ? 32 : 16)
typedef uint32_t set;

/* Images that are combined with the weights together. Of more images, fewer pixels are blank in all. */
#define GROUP 4
#define GROUPS (BLOCK / GROUP)

/* For each number of vectors of a row that may be held in registers: by `combine`, and by `add`. */
#if VECTOR_BYTES == 64 || defined(__aarch64__)
#define COMBINED(do) do(1) do(2) do(3) do(4) do(5)
#define ADDED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(14)
#elif VECTOR_BYTES == 32
#define COMBINED(do) do(1) do(2) do(3)
#define ADDED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9)
#else
#define COMBINED(do) do(1) do(2)
#define ADDED(do) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8)
#endif
#define MOST 14

/* So many rows before it is needed, a row is asked for. */
#define AHEAD 10

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

/* What a block of images and a step need; all arrays lie in the room. Rows of pixels that no image of the block inks
   are zero. */
struct block {
    int64_t width, pitch, used;
    uint32_t *pixels;                /* (used) the pixels that any image inks */
    set *inked;                      /* (inputs) by which images a pixel is inked */
    real *panel;                     /* (inputs x BLOCK) their ink */
    int64_t counts[GROUPS];          /* how many pixels any image of a group inks, */
    uint32_t *group_pixels;          /* (GROUPS x (inputs + 1)) and which they are */
    real *sums, *steps;              /* (BLOCK x pitch) pre-activations, and the steps g */
    real *gram;                      /* (BLOCK x BLOCK) products of the ink */
    real *ink, *paper;               /* (BLOCK) sums of the ink; c */
    real *shared, *column_sums;      /* (width) u and S */
    real *signals, *errors, *deltas; /* of all layers, each padded; */
    real *moves;                     /* the deltas times the learning rate */
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
    /* An odd number of lines, so that the rows of a column fall into different sets of the cache. */
    block->pitch = block->width + (block->width / line % 2 ? 0 : line);
    block->pixels = taken(&place, inputs * sizeof *block->pixels);
    block->inked = taken(&place, inputs * sizeof *block->inked);
    block->panel = taken(&place, inputs * BLOCK * sizeof(real));
    block->group_pixels = taken(&place, GROUPS * (inputs + 1) * sizeof *block->group_pixels);
    block->sums = taken(&place, BLOCK * block->pitch * sizeof(real));
    block->steps = taken(&place, BLOCK * block->pitch * sizeof(real));
    block->gram = taken(&place, BLOCK * BLOCK * sizeof(real));
    block->ink = taken(&place, BLOCK * sizeof(real));
    block->paper = taken(&place, BLOCK * sizeof(real));
    block->shared = taken(&place, block->width * sizeof(real));
    block->column_sums = taken(&place, block->width * sizeof(real));
    block->signals = taken(&place, nodes * sizeof(real));
    block->errors = taken(&place, nodes * sizeof(real));
    block->deltas = taken(&place, nodes * sizeof(real));
    block->moves = taken(&place, nodes * sizeof(real));
    return place.next - (uintptr_t)room;
}

/* One group's rows of sums = panel[pixels]' weights[pixels], where `panel` begins at the group's first image. */
INLINE void combine(const int vectors, const real *weights, int64_t stride, const real *panel, const uint32_t *pixels,
                    int64_t count, real *sums, int64_t pitch) {
    vector kept[GROUP][MOST] = {0};
    for (int64_t n = 0; n < count; n++) {
        const real *row = weights + pixels[n] * stride, *ink = panel + (int64_t)pixels[n] * BLOCK;
        /* Double weights of an image of usual size do not quite fit in the nearer caches. */
        const real *ahead = weights + pixels[n + AHEAD < count ? n + AHEAD : n] * stride;
        vector loaded[MOST];
        UNROLL
        for (int v = 0; v < vectors; v++) __builtin_prefetch(ahead + v * LANES);
        UNROLL
        for (int v = 0; v < vectors; v++) loaded[v] = load(row + v * LANES);
        UNROLL
        for (int i = 0; i < GROUP; i++) {
            UNROLL
            for (int v = 0; v < vectors; v++) kept[i][v] += ink[i] * loaded[v];
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
    static void combine_##vectors(const real *weights, int64_t stride, const real *panel, const uint32_t *pixels, \
                                  int64_t count, real *sums, int64_t pitch) { \
        combine(vectors, weights, stride, panel, pixels, count, sums, pitch); \
    }
#define ADD(vectors) \
    static void add_##vectors(real *row, const real *shares, set chosen, const real *rows, int64_t pitch) { \
        add(vectors, row, shares, chosen, rows, pitch); \
    }
#define COMBINE_OF(vectors) combine_##vectors,
#define ADD_OF(vectors) add_##vectors,

COMBINED(COMBINE)
ADDED(ADD)

typedef void combiner(const real *, int64_t, const real *, const uint32_t *, int64_t, real *, int64_t);
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

/* `combine` for all columns. */
static void combine_rows(const real *weights, int64_t width, int64_t stride, const real *panel, const uint32_t *pixels,
                         int64_t count, real *sums, int64_t pitch) {
    const struct tiles tiles = tiles_of(width, LENGTH(combiners));
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        combiner *const work = combiners[begin_of(tiles, tile + 1) - begin - 1];
        work(weights + column, stride, panel, pixels, count, sums + column, pitch);
    }
}

/* `add` for all columns. */
static void add_rows(real *row, int64_t width, const real *shares, set chosen, const real *rows, int64_t pitch) {
    const struct tiles tiles = tiles_of(width, LENGTH(adders));
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        adders[begin_of(tiles, tile + 1) - begin - 1](row + column, shares, chosen, rows + column, pitch);
    }
}

/* Put the ink of the block's image `i` into the panel. */
static APART void pack(const struct training *it, struct block *block, int64_t image, int i) {
    const int64_t inputs = it->sizes[0], begin = it->places ? it->starts[image] : image * inputs;
    const int64_t count = it->places ? it->starts[image + 1] - begin : inputs;
    const uint32_t *restrict places = it->places ? it->places + begin : 0;
    const real *restrict values = it->values + begin;
    const int group = i / GROUP;
    const set others = (set)((1 << GROUP) - 1) << group * GROUP, own = (set)1 << i;
    uint32_t *restrict pixels = block->group_pixels + group * (inputs + 1);
    real *restrict panel = block->panel + i;
    set *restrict inked = block->inked;
    int64_t found = block->counts[group];
    for (int64_t n = 0; n < count; n++) {
        const uint32_t pixel = places ? places[n] : (uint32_t)n;
        const set before = inked[pixel];
        /* Written in any case, and kept if the pixel is new to the group: a branch would be guessed wrong. */
        pixels[found] = pixel;
        found += !(before & others);
        inked[pixel] = before | own;
        panel[(int64_t)pixel * BLOCK] = values[n];
    }
    block->counts[group] = found;
}

/* How many images are in a set. */
INLINE int members(set images) {
    images -= images >> 1 & 0x55555555;
    images = (images & 0x33333333) + (images >> 2 & 0x33333333);
    return (int)(((images + (images >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24);
}

/* Note how much each image is inked, and which pixels are, by the number of images that ink them: so the processor
   can foresee how long `add` takes for each. */
static APART void survey(const struct training *it, struct block *block) {
    int64_t places[BLOCK + 2] = {0};
    for (int64_t k = 0; k < BLOCK; k++) block->ink[k] = 0;
    for (int64_t pixel = 0; pixel < it->sizes[0]; pixel++) places[members(block->inked[pixel]) + 1]++;
    block->used = it->sizes[0] - places[1];
    places[1] = 0;
    for (int n = 1; n <= BLOCK; n++) places[n + 1] += places[n];
    for (int64_t pixel = 0; pixel < it->sizes[0]; pixel++) {
        const int images = members(block->inked[pixel]);
        if (!images) continue;
        block->pixels[places[images]++] = (uint32_t)pixel;
        for (int64_t k = 0; k < BLOCK; k += LANES)
            store(block->ink + k, load(block->ink + k) + load(block->panel + pixel * BLOCK + k));
    }
}

/* Take a block's ink out of the panel again. */
static void clear(struct block *block) {
    for (int64_t n = 0; n < block->used; n++) {
        const int64_t pixel = block->pixels[n];
        block->inked[pixel] = 0;
        for (int64_t k = 0; k < BLOCK; k += LANES) store(block->panel + pixel * BLOCK + k, (vector){0});
    }
    for (int group = 0; group < GROUPS; group++) block->counts[group] = 0;
}

/* What the weights and the images themselves make of a block's ink, before any step of it. */
static void look(const struct training *it, struct block *block, int64_t images) {
    const int64_t inputs = it->sizes[0], lanes = LINE / sizeof(real), groups = (images + GROUP - 1) / GROUP;
    const struct tiles tiles = tiles_of(block->width, LENGTH(combiners));
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        combiner *const work = combiners[begin_of(tiles, tile + 1) - begin - 1];
        for (int group = 0; group < groups; group++)
            work(it->first + column, block->width, block->panel + group * GROUP, block->group_pixels + group * (inputs + 1),
                 block->counts[group], block->sums + group * GROUP * block->pitch + column, block->pitch);
    }
    for (int group = 0; group < groups; group++) {
        /* Only products with earlier images are ever asked for. */
        const int64_t row = group * GROUP, earlier = (row + GROUP + lanes - 1) / lanes * lanes;
        combine_rows(block->panel, earlier, BLOCK, block->panel + row, block->group_pixels + group * (inputs + 1),
                     block->counts[group], block->gram + row * BLOCK, BLOCK);
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

/* The first layer's pre-activations for the block's image i, with all steps before it; their sum. */
static real first_layer(const struct training *it, const struct block *block, int i) {
    const real c = (real)it->background, area = (real)(it->sizes[0] * it->background);
    const real weight = area + block->ink[i];
    const int64_t width = block->width;
    real *a = block->sums + i * block->pitch, *products = block->gram + i * BLOCK;
    for (int j = 0; j < i; j++) products[j] += c * (weight + block->ink[j]);
    add_rows(a, width, products, ((set)1 << i) - 1, block->steps, block->pitch);
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
static real forwards(const struct training *it, const struct block *block, int i) {
    real check = first_layer(it, block, i), *weights = it->later, *below = block->signals;
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
static void backwards(const struct training *it, const struct block *block, int i, int64_t label, real rate) {
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

/* Bring a block's steps into the first layer. */
static void learn(const struct training *it, struct block *block, int64_t images) {
    const set images_all = ~(set)0 >> (8 * sizeof(set) - images);
    const int64_t width = block->width, pitch = block->pitch;
    const struct tiles tiles = tiles_of(width, LENGTH(adders));
    for (int64_t tile = 0; tile < tiles.count; tile++) {
        const int64_t begin = begin_of(tiles, tile), column = begin * LANES;
        adder *const add_to = adders[begin_of(tiles, tile + 1) - begin - 1];
        for (int64_t n = 0; n < block->used; n++) {
            const int64_t pixel = block->pixels[n];
            add_to(it->first + pixel * width + column, block->panel + pixel * BLOCK, block->inked[pixel],
                   block->steps + column, pitch);
        }
    }
    add_rows(block->column_sums, width, block->ink, images_all, block->steps, pitch);
    add_rows(block->shared, width, block->paper, images_all, block->steps, pitch);
}

/* The bytes of room that a training takes. */
PUBLIC int64_t NAME(room)(const struct training *it) {
    struct block block;
    return lay_out(it, &block, 0);
}

/* One step for each image of `order`, in place; the position of the first image that diverged, or -1.
   The learning rate runs linearly from rate before the first of these images to rate_after after the last. */
PUBLIC int64_t NAME(train)(const struct training *it, const int64_t *order, int64_t count, double rate,
                           double rate_after) {
    struct block block = {0};
    const int64_t inputs = it->sizes[0];
    const int64_t bytes = NAME(room)(it);
    int64_t failed = -1;
    for (real *place = it->room; place < (real *)((char *)it->room + bytes); place++) *place = 0;
    lay_out(it, &block, it->room);
    for (int64_t k = 0; k < BLOCK; k++) block.paper[k] = (real)it->background;
    for (int64_t k = 0; k < inputs; k++)
        for (int64_t n = 0; n < block.width; n++) block.column_sums[n] += it->first[k * block.width + n];
    for (int64_t begin = 0; begin < count && failed < 0; begin += BLOCK) {
        const int64_t images = count - begin < BLOCK ? count - begin : BLOCK;
        for (int i = 0; i < images; i++) pack(it, &block, order[begin + i], i);
        survey(it, &block);
        look(it, &block, images);
        for (int i = 0; i < images; i++) {
            const int64_t image = order[begin + i];
            const real pace = (real)(rate + (rate_after - rate) * (double)(begin + i) / (double)count);
            const real check = forwards(it, &block, i);
            if (!(check - check == 0)) {
                failed = begin + i;
                break;
            }
            backwards(it, &block, i, it->labels[image], pace);
        }
        if (failed < 0) learn(it, &block, images);
        clear(&block);
    }
    /* u goes back into the weights, so that rounding does not gather in it. */
    for (int64_t k = 0; k < inputs; k++)
        for (int64_t n = 0; n < block.width; n++) it->first[k * block.width + n] += block.shared[n];
    ASAN_UNPOISON_MEMORY_REGION(it->room, bytes);
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

/* e^x of `count` numbers, a multiple of a line's; and natural logarithms of any count. For the tests. */
PUBLIC void NAME(exponentials)(const real *x, int64_t count, real *powers) {
    for (int64_t k = 0; k < count; k += LANES) store(powers + k, exponential(load(x + k)));
}

PUBLIC void NAME(logarithms)(const double *x, int64_t count, double *logarithms) {
    for (int64_t k = 0; k < count; k++) logarithms[k] = logarithm(x[k]);
}
