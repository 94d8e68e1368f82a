/* Our own kernels that go over megabytes of guards, carried out here: the simulator would take
 * seconds for each. The arithmetic is that of eval/cuda/helpers.cu. */
#include "tests/fake_cuda/fake_cuda.h"

#define PIECE 65536u

typedef struct guard_found {
    uint64_t wrong, first, last;
} guard_found;

static uint32_t guard_word(uint64_t word, uint64_t seed)
{
    uint64_t x = (word ^ seed) * UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ x >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(x >> 32);
}

static void guard_bytes(uint64_t first, uint64_t count, uint64_t seed, unsigned char *out)
{
    for (uint64_t i = 0; i < count;) {
        uint32_t word = guard_word((first + i) / 4, seed);
        for (uint64_t k = (first + i) % 4; k < 4 && i < count; k++)
            out[i++] = (unsigned char)(word >> (8 * k));
    }
}

static bool guard_fill(const uint64_t *p)
{
    static uint32_t words[PIECE / 4];
    for (uint64_t at = 0; at < p[1]; at += PIECE / 4) {
        uint64_t n = p[1] - at < PIECE / 4 ? p[1] - at : PIECE / 4;
        for (uint64_t i = 0; i < n; i++)
            words[i] = guard_word(at + i, p[2]);
        if (!kds_sim_memory_write(gpu.memory, p[0] + 4 * at, 4 * n, words))
            return false;
    }
    return true;
}

static bool check_one(uint64_t arena, uint64_t first, uint64_t bytes, uint64_t seed, guard_found *f)
{
    static unsigned char got[PIECE], want[PIECE];
    *f = (guard_found){0, UINT64_MAX, 0};
    for (uint64_t at = first; at < first + bytes; at += PIECE) {
        uint64_t n = first + bytes - at < PIECE ? first + bytes - at : PIECE;
        if (!kds_sim_memory_read(gpu.memory, arena + at, n, got, NULL))
            return false;
        guard_bytes(at, n, seed, want);
        for (uint64_t i = 0; memcmp(got, want, n) != 0 && i < n; i++) {
            if (got[i] == want[i])
                continue;
            f->wrong++;
            f->first = at + i < f->first ? at + i : f->first;
            f->last = at + i;
        }
    }
    return true;
}

/* The first block finds everything. */
static bool guard_check(const uint64_t *p, const kds_cuda_launch_config *c)
{
    for (unsigned block = 0; block < c->grid[0]; block++) {
        guard_found f = {0, UINT64_MAX, 0};
        if ((block == 0 && !check_one(p[0], p[1], p[2], p[3], &f)) ||
            !kds_sim_memory_write(gpu.memory, p[4] + sizeof f * block, sizeof f, &f))
            return false;
    }
    return true;
}

bool do_own_launch(const operation *o)
{
    uint64_t p[5] = {0};
    memcpy(p, o->parameters, o->parameters_len < sizeof p ? o->parameters_len : sizeof p);
    bool fill = strcmp(o->function->name, "kds_guard_fill") == 0;
    if (!fill && strcmp(o->function->name, "kds_guard_check") != 0)
        return false;
    if (fill ? !guard_fill(p) : !guard_check(p, &o->config))
        gpu.sticky = ILLEGAL_ADDRESS;
    return true;
}
