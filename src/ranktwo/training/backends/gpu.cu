// Many training steps of nets on a GPU. GROUP blocks train one net and hold its weights in their shared memory.
//
// gpu.py writes constants in front of this file: the net's sizes, the places of its parts in shared memory, the numbers
// of optimizers, tasks and factors, and the optimizer's own constants.
// A block holds all of x and PARTS[l] of the activations h_l of each hidden layer. Of the weights it holds
//   the rows of its own outputs in the first layer, so that it computes those outputs by itself;
//   the columns of its own inputs in every other layer, so that h W^T is a sum over the blocks of the group.
// Sizes are padded with zeros to multiples of 4, and the padding stays zero. A row begins an odd number of 16 bytes
// after the row before it, so that neighbouring rows lie in different banks. W [out, in], h and delta [B, .], row by row.
// Sums are always taken in the same order: a net's bits do not depend on the nets trained with it.

#ifndef DEVICE  // the tests run this file on a CPU and define these words in their own way
#define DEVICE __device__ __forceinline__
#if GROUP > 1
#define KERNEL extern "C" __global__ __cluster_dims__(GROUP, 1, 1) __launch_bounds__(THREADS, BLOCKS)
#else
#define KERNEL extern "C" __global__ __launch_bounds__(THREADS, BLOCKS)
#endif
#define UNROLL _Pragma("unroll")
#define UNROLL_SOME _Pragma("unroll 2")
#define SHARED(name) \
    extern __shared__ float4 dynamic[]; \
    float* name = reinterpret_cast<float*>(dynamic)

struct Place { float* shared; int rank, thread, lane, warp; };

DEVICE int block_number() { return blockIdx.x; }

DEVICE Place place_of_thread(float* shared) {
    const int thread = threadIdx.x;
    return {shared, (int)blockIdx.x % GROUP, thread, thread % 32, thread / 32};
}

DEVICE void threads_wait(const Place&) { __syncthreads(); }

DEVICE void group_wait(const Place&) {
#if GROUP > 1
    asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
#endif
}

DEVICE float shuffle_xor(const Place&, float value, int lanes) { return __shfl_xor_sync(~0u, value, lanes); }

// The address in another block of the group that corresponds to an address in this block's shared memory.
DEVICE const float* peer(const Place& at, const float* mine, int rank) {
#if GROUP > 1
    unsigned long long theirs;
    asm("mapa.u64 %0, %1, %2;" : "=l"(theirs) : "l"(mine), "r"(rank));
    return reinterpret_cast<const float*>(theirs);
#else
    return mine;
#endif
}

template <int bytes> DEVICE void copy_later(void* to, const void* from) {
    const unsigned shared = __cvta_generic_to_shared(to);
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared), "l"(from), "n"(bytes) : "memory");
}

DEVICE void copies_wait() { asm volatile("cp.async.wait_all;" ::: "memory"); }
#endif

DEVICE constexpr int stride(int size) { return (size / 4 | 1) * 4; }
constexpr int WARPS = THREADS / 32;
DEVICE constexpr int inputs(int layer) { return PARTS[layer]; }
DEVICE constexpr int outputs(int layer) { return OUTPUTS[layer]; }
// Columns that this block holds of the gradient by h_l: as many as the matrix below has rows here.
DEVICE constexpr int columns(int level) { return outputs(level - 1); }

// The number of lanes that share a sum of `terms` terms, at most `most`, so that `tiles` tiles keep all threads busy.
DEVICE constexpr int split(int tiles, int terms, int most) {
    int lanes = 1;
    while (lanes < most && 2 * lanes <= terms && 2 * lanes * tiles <= THREADS) lanes *= 2;
    return lanes;
}

// Adds up each of a[0], ..., a[N - 1] over LANES lanes that are STRIDE apart; this lane is number `part` of them.
// Afterwards this lane has N / LANES of the sums, at least one, in a[0], ...; returns the number of the first.
template <int N, int LANES, int STRIDE> DEVICE int sum_over(const Place& at, float* a, int part) {
    if constexpr (LANES == 1) {
        return 0;
    } else if constexpr (N > 1) {
        constexpr int half = N / 2, other = LANES / 2;
        const bool upper = part & other;
        UNROLL
        for (int j = 0; j < half; ++j) {
            const float sent = upper ? a[j] : a[j + half], kept = upper ? a[j + half] : a[j];
            a[j] = kept + shuffle_xor(at, sent, other * STRIDE);
        }
        return (upper ? half : 0) + sum_over<half, other, STRIDE>(at, a, part);
    } else {
        a[0] += shuffle_xor(at, a[0], LANES / 2 * STRIDE);
        return sum_over<1, LANES / 2, STRIDE>(at, a, part);
    }
}

DEVICE float dot(float4 a, float4 b, float sum) {
    return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

DEVICE float relu(float z) { return z < 0 ? 0 : z; }  // nan stays

DEVICE const float4* row4(const float* matrix, int row, int size) {
    return reinterpret_cast<const float4*>(matrix + row * size);
}

// h W^T of this block's part of W: activations if the block has all terms of the sums, else its share of the sums.
template <int layer> DEVICE void forward(const Place& at, const float* h, float* out) {
    constexpr int terms = inputs(layer) / 4, O = outputs(layer), tile_rows = ROWS % 8 ? 4 : 8, tile_columns = 4;
    constexpr int across = O / tile_columns, down = ROWS / tile_rows, tiles = across * down;
    constexpr int lanes = split(tiles, terms, 32), at_once = 32 / lanes;
    // Neighbouring lanes share a sum, or have neighbouring tiles: the choice keeps them off each other's banks.
    constexpr bool neighbours = lanes >= 8;
    constexpr bool last = layer == LAYERS - 1, whole = !last && (layer == 0 || GROUP == 1);
    const float* w = at.shared + W_AT[layer];
    for (int first = at.warp * at_once; first < tiles; first += WARPS * at_once) {
        const int part = neighbours ? at.lane % lanes : at.lane / at_once;
        const int tile = first + (neighbours ? at.lane / lanes : at.lane % at_once);
        const int b = min(tile, tiles - 1) / across, o = min(tile, tiles - 1) % across;
        float sums[tile_rows * tile_columns] = {};
        UNROLL_SOME
        for (int i = part; i < terms; i += lanes) {
            float4 hs[tile_rows], ws[tile_columns];
            UNROLL
            for (int r = 0; r < tile_rows; ++r) hs[r] = row4(h, b + r * down, stride(inputs(layer)))[i];
            UNROLL
            for (int c = 0; c < tile_columns; ++c) ws[c] = row4(w, o + c * across, stride(inputs(layer)))[i];
            UNROLL
            for (int r = 0; r < tile_rows; ++r) {
                UNROLL
                for (int c = 0; c < tile_columns; ++c)
                    sums[r * tile_columns + c] = dot(hs[r], ws[c], sums[r * tile_columns + c]);
            }
        }
        constexpr int left = tile_rows * tile_columns > lanes ? tile_rows * tile_columns / lanes : 1;
        const int which = sum_over<tile_rows * tile_columns, lanes, neighbours ? 1 : at_once>(at, sums, part);
        if (tile < tiles) {
            UNROLL
            for (int j = 0; j < left; ++j) {
                const int r = (which + j) / tile_columns, c = (which + j) % tile_columns;
                out[(b + r * down) * stride(O) + o + c * across] = whole ? relu(sums[j]) : sums[j];
            }
        }
    }
}

// This block's part of h_{level}: relu of the total of all blocks' shares of the sums.
template <int level> DEVICE void add_up(const Place& at, const float* sums) {
    constexpr int part = PARTS[level], all = stride(GROUP * part);
    for (int entry = at.thread; entry < ROWS * part; entry += THREADS) {
        const int b = entry / part, i = entry % part;
        float z = 0;
        UNROLL
        for (int rank = 0; rank < GROUP; ++rank) z += peer(at, sums, rank)[b * all + at.rank * part + i];
        at.shared[H_AT[level] + b * stride(part) + i] = relu(z);
    }
}

// The gradient of each sample's loss by the outputs, times scale; one warp takes one sample.
DEVICE void output_gradients(const Place& at, const float* sums, const float* targets, float scale) {
    static_assert(TASK == REGRESSION || TASK == BINARY || TASK == MULTICLASS);
    constexpr int C = SIZES[LAYERS], C4 = PARTS[LAYERS], each = (C + 31) / 32;
    for (int b = at.warp; b < BATCH; b += WARPS) {
        float f[each], most = -3.4e38f, total = 0;
        UNROLL
        for (int j = 0; j < each; ++j) {
            const int c = 32 * j + at.lane;
            f[j] = c < C ? 0 : most;
            UNROLL
            for (int rank = 0; rank < GROUP; ++rank)
                if (c < C) f[j] += peer(at, sums, rank)[b * stride(C4) + c];
        }
        if (TASK == MULTICLASS) {
            UNROLL
            for (int j = 0; j < each; ++j) most = fmaxf(most, f[j]);
            UNROLL
            for (int lane = 16; lane; lane /= 2) most = fmaxf(most, shuffle_xor(at, most, lane));
            UNROLL
            for (int j = 0; j < each; ++j) total += f[j] = expf(f[j] - most);
            UNROLL
            for (int lane = 16; lane; lane /= 2) total += shuffle_xor(at, total, lane);
        }
        UNROLL
        for (int j = 0; j < each; ++j) {
            const int c = 32 * j + at.lane;
            if (c >= C) continue;
            const float y = targets[b * C + c];
            float gradient;
            if (TASK == REGRESSION) gradient = (2.0f / C) * (f[j] - y);
            else if (TASK == BINARY) gradient = 1 / (1 + expf(-f[j])) - y;
            else gradient = f[j] / total - y;
            at.shared[D_AT[LAYERS] + b * columns(LAYERS) + c] = scale * gradient;
        }
    }
}

// This block's part of the gradient by h_{layer}; 0 where relu gave 0.
template <int layer> DEVICE void gradient_below(const Place& at) {
    constexpr int across = inputs(layer) / 4, terms = outputs(layer) / 4, tile_rows = 2, down = ROWS / tile_rows;
    constexpr int tiles = across * down, lanes = split(tiles, terms, 4), at_once = 32 / lanes, step = stride(inputs(layer)) / 4;
    const float *w = at.shared + W_AT[layer], *delta = at.shared + D_AT[layer + 1], *h = at.shared + H_AT[layer];
    float* below = at.shared + D_AT[layer] + (layer > 1 ? at.rank * PARTS[layer] : 0);
    for (int first = at.warp * at_once; first < tiles; first += WARPS * at_once) {
        const int part = at.lane / at_once, tile = first + at.lane % at_once;
        const int b = min(tile, tiles - 1) / across, i = min(tile, tiles - 1) % across;
        float sums[4 * tile_rows] = {};
        UNROLL_SOME
        for (int o = part; o < terms; o += lanes) {
            const float4* ws = row4(w, 4 * o, stride(inputs(layer))) + i;
            const float4 w0 = ws[0], w1 = ws[step], w2 = ws[2 * step], w3 = ws[3 * step];
            UNROLL
            for (int r = 0; r < tile_rows; ++r) {
                const float4 d = row4(delta, b + r * down, columns(layer + 1))[o];
                sums[4 * r] = dot(d, float4{w0.x, w1.x, w2.x, w3.x}, sums[4 * r]);
                sums[4 * r + 1] = dot(d, float4{w0.y, w1.y, w2.y, w3.y}, sums[4 * r + 1]);
                sums[4 * r + 2] = dot(d, float4{w0.z, w1.z, w2.z, w3.z}, sums[4 * r + 2]);
                sums[4 * r + 3] = dot(d, float4{w0.w, w1.w, w2.w, w3.w}, sums[4 * r + 3]);
            }
        }
        const int which = sum_over<4 * tile_rows, lanes, at_once>(at, sums, part);
        if (tile < tiles) {
            UNROLL
            for (int j = 0; j < 4 * tile_rows / lanes; ++j) {
                const int row = b + (which + j) / 4 * down, column = 4 * i + (which + j) % 4;
                const float activation = h[row * stride(inputs(layer)) + column];
                below[row * columns(layer) + column] = activation <= 0 ? 0 : sums[j];
            }
        }
    }
}

// Copies the other blocks' parts of the gradient by h_{level} to their places beside this block's part.
template <int level> DEVICE void collect(const Place& at) {
    constexpr int part = PARTS[level], all = GROUP * part;
    float* delta = at.shared + D_AT[level];
    for (int entry = at.thread; entry < ROWS * all; entry += THREADS) {
        const int rank = entry % all / part;
        if (rank != at.rank) delta[entry] = peer(at, delta, rank)[entry];
    }
}

struct Factors { float rate, decay, shrinkage, scale, mean_rate, root; };

// The factors of one step of one net: `first` is the step's first factor of this net, the next is `nets` further on.
DEVICE Factors factors_at(const float* first, int nets) {
    Factors factors;
    factors.rate = first[FACTOR_RATE * nets];
    factors.decay = first[FACTOR_DECAY * nets];
    factors.shrinkage = first[FACTOR_SHRINKAGE * nets];
    factors.scale = first[FACTOR_SCALE * nets];
    factors.mean_rate = first[FACTOR_MEAN_RATE * nets];
    factors.root = first[FACTOR_ROOT * nets];
    return factors;
}

// A step of one weight w; g is the entry of delta^T h. Returns the new weight and changes the optimizer's slots.
#if OPTIMIZER == SGD
DEVICE float stepped(float w, float g, const Factors& factors, float&, float&) { return fmaf(factors.shrinkage, w, g); }
#elif OPTIMIZER == MOMENTUM
DEVICE float stepped(float w, float g, const Factors& factors, float& v, float&) {
    v = fmaf(BETA, v, fmaf(factors.decay, w, g));
    return fmaf(-factors.rate, v, w);
}
#elif OPTIMIZER == ADAMW
DEVICE float stepped(float w, float g, const Factors& factors, float& m, float& s) {
    m = fmaf(BETA_1, m, REST_1 * g);
    s = fmaf(BETA_2, s, REST_2 * (g * g));
    return fmaf(factors.shrinkage, w, -(factors.mean_rate * (m / (sqrtf(s) / factors.root + EPSILON))));
}
#else
#error "gpu.cu has no step for this optimizer"
#endif

// The place in the net's memory of entry (o, i) of this block's part of a matrix; -1 for padding.
template <int layer> DEVICE int place_of(const Place& at, int o, int i) {
    const int output = layer == 0 ? at.rank * PARTS[1] + o : o, input = layer == 0 ? i : at.rank * PARTS[layer] + i;
    return output < SIZES[layer + 1] && input < SIZES[layer] ? STARTS[layer] + output * SIZES[layer] + input : -1;
}

// Reads four neighbours in a row of an optimizer's slot into `values`, or writes them back; padding is 0.
template <int layer, bool write>
DEVICE void slot_entries(const Place& at, int slot, float* slots, long long apart, int o, int i, float* values) {
    constexpr bool fours = SLOTS_SHARED || SIZES[layer] % 4 == 0;
    float* all = SLOTS_SHARED ? at.shared + (1 + slot) * SLOTS_AT + W_AT[layer] : slots + slot * apart;
    if constexpr (fours) {
        const int place = SLOTS_SHARED ? o * stride(inputs(layer)) + i : place_of<layer>(at, o, i);
        float4 four = {};
        if (write && place >= 0) *reinterpret_cast<float4*>(all + place) = {values[0], values[1], values[2], values[3]};
        if (!write && place >= 0) four = *reinterpret_cast<float4*>(all + place);
        if (!write) values[0] = four.x, values[1] = four.y, values[2] = four.z, values[3] = four.w;
    } else {
        UNROLL
        for (int j = 0; j < 4; ++j) {
            const int place = place_of<layer>(at, o, i + j);
            if (write && place >= 0) all[place] = values[j];
            if (!write) values[j] = place < 0 ? 0 : all[place];
        }
    }
}

// A step of this block's part of W; `slots` are the optimizer's matrices of this net in the GPU's memory, `apart` numbers
// from each other.
template <int layer> DEVICE void update(const Place& at, const float* h, float* slots, long long apart, const Factors& factors) {
    constexpr int I = inputs(layer), O = outputs(layer), across = I / 4;
    constexpr int tile = O % 16 == 0 && O / 16 * across >= THREADS ? 16 : O % 8 == 0 && O / 8 * across >= THREADS ? 8 : 4;
    float* w = at.shared + W_AT[layer];
    const float* delta = at.shared + D_AT[layer + 1];
    for (int task = at.thread; task < O / tile * across; task += THREADS) {
        const int o = task / across * tile, i = task % across;
        float sums[tile][4] = {};
        UNROLL_SOME
        for (int b = 0; b < BATCH; ++b) {
            const float4 x = row4(h, b, stride(I))[i];
            UNROLL
            for (int r = 0; r < tile; r += 4) {
                const float4 d = row4(delta, b, columns(layer + 1))[o / 4 + r / 4];
                const float ds[4] = {d.x, d.y, d.z, d.w};
                UNROLL
                for (int j = 0; j < 4; ++j) {
                    sums[r + j][0] = fmaf(ds[j], x.x, sums[r + j][0]);
                    sums[r + j][1] = fmaf(ds[j], x.y, sums[r + j][1]);
                    sums[r + j][2] = fmaf(ds[j], x.z, sums[r + j][2]);
                    sums[r + j][3] = fmaf(ds[j], x.w, sums[r + j][3]);
                }
            }
        }
        UNROLL
        for (int r = 0; r < tile; ++r) {
            float4& stored = reinterpret_cast<float4*>(w + (o + r) * stride(I))[i];
            float values[4] = {stored.x, stored.y, stored.z, stored.w}, slot[2][4] = {};
            UNROLL
            for (int k = 0; k < SLOTS; ++k) slot_entries<layer, false>(at, k, slots, apart, o + r, 4 * i, slot[k]);
            UNROLL
            for (int j = 0; j < 4; ++j) values[j] = stepped(values[j], sums[r][j], factors, slot[0][j], slot[1][j]);
            UNROLL
            for (int k = 0; k < SLOTS; ++k) slot_entries<layer, true>(at, k, slots, apart, o + r, 4 * i, slot[k]);
            stored = float4{values[0], values[1], values[2], values[3]};
        }
    }
}

// Copies this block's part of one matrix, of the weights or a slot, from the net's memory or back to it.
template <int layer> DEVICE void bring(const Place& at, float* net, float* part, bool back) {
    for (int entry = at.thread; entry < outputs(layer) * inputs(layer); entry += THREADS) {
        const int o = entry / inputs(layer), i = entry % inputs(layer), place = place_of<layer>(at, o, i);
        float& mine = part[W_AT[layer] + o * stride(inputs(layer)) + i];
        if (back && place >= 0) net[place] = mine;
        else if (!back) mine = place < 0 ? 0 : net[place];
    }
}

template <int layer = 0> DEVICE void bring_all(const Place& at, float* net, long long apart, bool back) {
    if constexpr (layer < LAYERS) {
        for (int slot = 0; slot <= (SLOTS_SHARED ? SLOTS : 0); ++slot)
            bring<layer>(at, net + slot * apart, at.shared + slot * SLOTS_AT, back);
        bring_all<layer + 1>(at, net, apart, back);
    }
}

template <int layer> DEVICE void forward_from(const Place& at, const float* h, int step) {
    constexpr bool last = layer == LAYERS - 1, shared = last || (layer > 0 && GROUP > 1);
    float* out = at.shared + (shared ? Z_AT[layer + 1] + (step & 1) * Z_APART : H_AT[layer + 1]);
    forward<layer>(at, h, out);
    if constexpr (shared && GROUP > 1) {
        group_wait(at);
        if constexpr (!last) add_up<layer + 1>(at, out);
    }
    if constexpr (!last || GROUP == 1) threads_wait(at);
    if constexpr (!last) forward_from<layer + 1>(at, at.shared + H_AT[layer + 1], step);
}

template <int layer> DEVICE void backward_from(const Place& at) {
    if constexpr (layer > 0) {
        gradient_below<layer>(at);
        if constexpr (layer > 1 && GROUP > 1) {
            group_wait(at);
            collect<layer>(at);
        }
        threads_wait(at);
        backward_from<layer - 1>(at);
    }
}

template <int layer = 0>
DEVICE void update_from(const Place& at, const float* h, float* slots, long long apart, const Factors& factors) {
    update<layer>(at, h, slots, apart, factors);
    if constexpr (layer + 1 < LAYERS) update_from<layer + 1>(at, at.shared + H_AT[layer + 1], slots, apart, factors);
}

// Starts to copy the samples of a batch to shared memory; other work goes on meanwhile.
DEVICE void fetch(const Place& at, const float* x, const float* targets, const long long* rows, float* h, float* y) {
    constexpr int N0 = SIZES[0], C = SIZES[LAYERS];
    if constexpr (N0 % 4 == 0) {
        for (int entry = at.thread; entry < BATCH * (N0 / 4); entry += THREADS) {
            const int b = entry / (N0 / 4), i = entry % (N0 / 4);
            copy_later<16>(h + b * stride(PARTS[0]) + 4 * i, x + (rows ? rows[b] : b) * N0 + 4 * i);
        }
    } else {
        for (int entry = at.thread; entry < BATCH * N0; entry += THREADS) {
            const int b = entry / N0, i = entry % N0;
            copy_later<4>(h + b * stride(PARTS[0]) + i, x + (rows ? rows[b] : b) * N0 + i);
        }
    }
    for (int entry = at.thread; entry < BATCH * C; entry += THREADS)
        copy_later<4>(y + entry, targets + (rows ? rows[entry / C] : entry / C) * C + entry % C);
}

// Trains each net for T steps, by K * GROUP blocks.
// memory [1 + slots, K, NET], `apart` numbers from slot to slot; x [N, n]; targets [1 or K, N, c], `of_net` numbers from
// net to net; seed_of [K]; rows [T, S, B], the batches of each seed, not read where every batch is all of x (WHOLE);
// all_factors [T, FACTORS, K].
KERNEL void train(float* memory, int apart, const float* x, const float* targets, int of_net, const long long* seed_of,
                  const long long* rows, int seeds, const float* all_factors, int steps, int nets) {
    SHARED(shared);
    const Place at = place_of_thread(shared);
    const int net = block_number() / GROUP;
    float* weights = memory + (long long)net * NET;
    targets += (long long)net * of_net;
    const long long seed = seed_of[net];
    float *xs = shared + H_AT[0], *ys = shared + Y_AT;
    long long* batches = reinterpret_cast<long long*>(shared + ROWS_AT);
    for (int entry = at.thread; entry < ROOM; entry += THREADS) shared[entry] = 0;
    threads_wait(at);
    bring_all(at, weights, apart, false);
    if (!WHOLE)
        for (int b = at.thread; b < 2 * BATCH; b += THREADS)
            if (b / BATCH < steps) batches[b] = rows[(b / BATCH * seeds + seed) * BATCH + b % BATCH];
    threads_wait(at);
    fetch(at, x, targets, WHOLE ? nullptr : batches, xs, ys);
    for (int step = 0; step < steps; ++step) {
        copies_wait();
        threads_wait(at);
        const int now = BUFFERS == 2 ? step & 1 : 0, next = BUFFERS == 2 ? 1 - now : 0;
        const long long* following = batches + (step + 1 & 1) * BATCH;
        const bool more = !WHOLE && step + 1 < steps;
        if (BUFFERS == 2 && more) fetch(at, x, targets, following, xs + next * X_APART, ys + next * BATCH * SIZES[LAYERS]);
        if (!WHOLE && step + 2 < steps)
            for (int b = at.thread; b < BATCH; b += THREADS)
                copy_later<8>(batches + (step & 1) * BATCH + b, rows + ((step + 2) * seeds + seed) * BATCH + b);
        const Factors factors = factors_at(all_factors + (long long)step * FACTORS * nets + net, nets);
        const float* h = xs + now * X_APART;
        forward_from<0>(at, h, step);
        output_gradients(at, shared + Z_AT[LAYERS] + (step & 1) * Z_APART, ys + now * BATCH * SIZES[LAYERS], factors.scale);
        threads_wait(at);
        backward_from<LAYERS - 1>(at);
        update_from(at, h, weights + apart, apart, factors);
        if (BUFFERS == 1 && more) {
            threads_wait(at);
            fetch(at, x, targets, following, xs, ys);
        }
    }
    threads_wait(at);
    bring_all(at, weights, apart, true);
    group_wait(at);  // a block must not end while another one reads from it
}
