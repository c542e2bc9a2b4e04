// Runs gpu.cu on a CPU. The threads of a net's blocks are fibers, which take turns where they wait for each other.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <ucontext.h>
#include <vector>

using std::max, std::min;
struct float4 { float x, y, z, w; };
#define DEVICE inline
#define KERNEL static
#define UNROLL
#define UNROLL_SOME
#define __device__
#define SHARED(name) float* name = nets_shared[fiber / THREADS].data()

struct Place { float* shared; int rank, thread, lane, warp; };
struct Barrier { int count = 0, generation = 0; };
static std::vector<std::vector<float>> nets_shared;
static std::vector<ucontext_t> contexts;
static std::vector<bool> ended;
static std::vector<Barrier> barriers;  // of warps, of blocks, of the group
static std::vector<float> exchanged;
static ucontext_t caller;
static int fiber, net;

static void turn() {
    const int mine = fiber, all = contexts.size();
    for (int other = (mine + 1) % all; other != mine; other = (other + 1) % all)
        if (!ended[other]) {
            fiber = other;
            swapcontext(&contexts[mine], &contexts[other]);
            return;
        }
}

static void wait(Barrier& at, int all) {
    const int generation = at.generation;
    if (++at.count == all) {
        at.count = 0;
        ++at.generation;
    }
    while (at.generation == generation) turn();
}

#include CONSTANTS

constexpr int WARPS_OF_NET = GROUP * THREADS / 32;
static int block_number() { return net * GROUP + fiber / THREADS; }
static Place place_of_thread(float* shared) {
    const int thread = fiber % THREADS;
    return {shared, fiber / THREADS, thread, thread % 32, thread / 32};
}
static void threads_wait(const Place& at) { wait(barriers[WARPS_OF_NET + at.rank], THREADS); }
static void group_wait(const Place&) { wait(barriers[WARPS_OF_NET + GROUP], GROUP * THREADS); }
static float shuffle_xor(const Place&, float value, int lanes) {
    const int mine = fiber;  // fibers of a warp are neighbours
    exchanged[mine] = value;
    wait(barriers[mine / 32], 32);
    value = exchanged[mine ^ lanes];
    wait(barriers[mine / 32], 32);
    return value;
}
static const float* peer(const Place& at, const float* mine, int rank) {
    return nets_shared[rank].data() + (mine - at.shared);
}
template <int bytes> static void copy_later(void* to, const void* from) { memcpy(to, from, bytes); }
static void copies_wait() {}

#include KERNEL_SOURCE

static struct { float* memory; int apart; const float *x, *targets; int of_net; const long long *seed_of, *rows; int seeds; const float* factors; int steps, nets; } given;

static void run_fiber() {
    train(given.memory, given.apart, given.x, given.targets, given.of_net, given.seed_of, given.rows, given.seeds, given.factors, given.steps, given.nets);
    ended[fiber] = true;
    for (int other = 0; other < (int)contexts.size(); ++other)
        if (!ended[other]) {
            fiber = other;
            setcontext(&contexts[other]);
        }
    setcontext(&caller);
}

extern "C" void launch(float* memory, int apart, const float* x, const float* targets, int of_net, const long long* seed_of,
                       const long long* rows, int seeds, const float* factors, int steps, int nets) {
    given = {memory, apart, x, targets, of_net, seed_of, rows, seeds, factors, steps, nets};
    constexpr int all = GROUP * THREADS, stack = 1 << 16;
    std::unique_ptr<char[]> stacks(new char[(size_t)all * stack]);
    for (net = 0; net < nets; ++net) {
        nets_shared.assign(GROUP, std::vector<float>(ROOM, NAN));
        contexts.assign(all, {});
        ended.assign(all, false);
        barriers.assign(WARPS_OF_NET + GROUP + 1, {});
        exchanged.assign(all, 0);
        for (int one = 0; one < all; ++one) {
            getcontext(&contexts[one]);
            contexts[one].uc_stack = {stacks.get() + (size_t)one * stack, 0, stack};
            contexts[one].uc_link = nullptr;
            makecontext(&contexts[one], run_fiber, 0);
        }
        fiber = 0;
        swapcontext(&caller, &contexts[0]);
    }
}
