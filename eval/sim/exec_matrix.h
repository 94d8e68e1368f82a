/* Part of exec_body.h: matrices between memory and registers. What a warp moves is looked at line
 * by line, in pieces of up to 16 bytes that a few lanes share: a piece is checked at once, and
 * again lane by lane if something is wrong with it. */

#define MATRIX_PIECES 32

/* How pieces belong to lanes: the first one's, and how many lanes on the next part of a piece is.
 */
typedef struct matrix_piece {
    u64 address;
    u8 *data;
    unsigned bytes, part; /* all of it, and what one lane has of it */
    int lane, step;
    kds_ptx_space space;
} matrix_piece;

/* The lanes that share a piece, one by one, where races are looked for. */
static inline kds_step race_piece(kds_warp *w, const kds_ins *i, const matrix_piece *p,
                                  const shared_place *place, kds_page *page, bool store)
{
    kds_step s = KDS_STEP_ON;
    for (unsigned k = 0; s == KDS_STEP_ON && k < p->bytes; k += p->part) {
        int lane = p->lane + (int)(k / p->part) * p->step;
        const u8 *data = store ? p->data + k : NULL;
        s = place != NULL
                ? race_lane_shared(w, i, lane, place->block, place->at + k, p->part, store, data)
                : race_lane_global(w, i, lane, page, p->address + k, p->part, store, data);
    }
    return s;
}

/* One piece of shared memory. */
static inline kds_step move_shared(kds_warp *w, const kds_ins *i, const matrix_piece *p, bool store)
{
    shared_place place = {NULL, 0}, part = {NULL, 0};
    kds_step s = check_shared(w, i, p->lane, p->address, p->bytes, store, &place);
    for (unsigned k = 0; s != KDS_STEP_ON && k < p->bytes; k += p->part) {
        kds_step own = check_shared(w, i, p->lane + (int)(k / p->part) * p->step, p->address + k,
                                    p->part, store, &part);
        if (own != KDS_STEP_ON)
            return own;
    }
    if (s == KDS_STEP_ON && w->run->race != NULL)
        s = race_piece(w, i, p, &place, NULL, store);
    if (s != KDS_STEP_ON)
        return s;
    u8 *shared = place.block->shared + place.at;
    if (store) {
        copy_lane(shared, p->data, p->bytes);
        kds_bits_set(place.block->shared_stored, place.at, p->bytes);
        if (w->run->kernel->reads_async)
            kds_bulk_stored(w, place.block, place.at, p->bytes);
    } else {
        copy_lane(p->data, shared, p->bytes);
    }
    return KDS_STEP_ON;
}

static inline kds_step move_global(kds_warp *w, const kds_ins *i, const matrix_piece *p, bool store)
{
    kds_run *run = w->run;
    kds_page *page = NULL;
    u64 inside = 0;
    kds_step s = locate(w, i, p->lane, p->address, p->bytes, store, &page, &inside);
    for (unsigned k = 0; s == KDS_STEP_FAULT && k < p->bytes; k += p->part) {
        kds_step own = locate(w, i, p->lane + (int)(k / p->part) * p->step, p->address + k, p->part,
                              store, &page, &inside);
        if (own != KDS_STEP_ON)
            return own;
    }
    if (s == KDS_STEP_ON && run->race != NULL && !page->read_only)
        s = race_piece(w, i, p, NULL, page, store);
    if (s != KDS_STEP_ON)
        return s;
    if (store) {
        copy_lane(page->data + inside, p->data, p->bytes);
        mark_stored(run, page, inside, p->bytes);
        run->counts.unique_stores += new_sectors(run, page->changed, inside / 32, 1);
    } else {
        copy_lane(p->data, page->data + inside, p->bytes);
        run->counts.unique_loads += new_sectors(run, page->loaded, inside / 32, 1);
    }
    return KDS_STEP_ON;
}

static inline kds_step move_piece(kds_warp *w, const kds_ins *i, const matrix_piece *p, bool store)
{
    if (p->space == KDS_SPACE_SHARED)
        return move_shared(w, i, p, store);
    if (p->space == KDS_SPACE_GLOBAL)
        return move_global(w, i, p, store);
    return kds_fault_text(w->run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)p->lane,
                          "a matrix in %s: it can only lie in global or shared memory",
                          p->space == KDS_SPACE_LOCAL ? "local memory" : "the parameters");
}

/* The space of an address of the instruction, and the address in its numbering. */
static inline kds_ptx_space matrix_space(const kds_ins *i, u64 *address)
{
    if (i->space != KDS_SPACE_GENERIC)
        return (kds_ptx_space)i->space;
    kds_ptx_space space = space_of(*address);
    if (space != KDS_SPACE_GLOBAL)
        *address &= 0xffffffffu;
    return space;
}

/* Wavefronts of 8 lines of 16 bytes: those that want the same four banks go one after the other,
 * unless they are the same line. */
static inline unsigned line_wavefronts(const u64 *a)
{
    uint32_t seen = 0;
    for (int r = 0; r < 8; r++)
        seen |= 1u << (a[r] >> 4 & 7);
    if (seen == 0xff)
        return 1;
    unsigned filled[8] = {0}, most = 0;
    for (int r = 0; r < 8; r++) {
        bool again = false;
        for (int k = 0; k < r; k++)
            again |= a[k] == a[r];
        unsigned n = filled[a[r] >> 4 & 7] += !again;
        most = n > most ? n : most;
    }
    return most;
}

/* ---- ldmatrix, stmatrix, movmatrix ---- */

/* Lane 8 * k + r gives line r of matrix k. */
static inline kds_step move_matrices(kds_warp *w, const kds_ins *i, u8 *data, bool store)
{
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    kds_run *run = w->run;
    lane_addresses(w, i->a, i->combine, i->imm, a);
    for (int l = 0; l < 8 * i->elements; l++) {
        matrix_piece p = {.data = data + 16 * l, .bytes = 16, .part = 16, .lane = l};
        p.space = matrix_space(i, &a[l]);
        p.address = a[l];
        if (p.space != KDS_SPACE_SHARED)
            return kds_fault_text(run, KDS_SIM_OUT_OF_BOUNDS, i, (uint32_t)l,
                                  "the address 0x%llx is not in shared memory",
                                  (unsigned long long)a[l]);
        kds_step s = move_shared(w, i, &p, store);
        if (s != KDS_STEP_ON)
            return s;
    }
    unsigned wavefronts = 0;
    for (int k = 0; k < i->elements; k++)
        wavefronts += line_wavefronts(a + 8 * k);
    count_shared(run, wavefronts, i->elements, store);
    return KDS_STEP_ON;
}

HANDLER(ldmatrix)
{
    (void)out;
    u8 data[4][128] __attribute__((aligned(64))), turned[128];
    kds_step s = all_lanes(w, i);
    if (s == KDS_STEP_ON)
        s = move_matrices(w, i, data[0], false);
    for (int k = 0; s == KDS_STEP_ON && k < i->elements; k++) {
        int32_t to = kds_ins_element(w->run->kernel, i, k);
        if (i->compare != 0)
            transpose(data[k], turned);
        if (to >= 0)
            memcpy(w->file + to, i->compare != 0 ? turned : data[k], 128);
    }
    return s;
}

HANDLER(stmatrix)
{
    (void)out;
    u8 data[4][128] __attribute__((aligned(64)));
    kds_step s = all_lanes(w, i);
    for (int k = 0; s == KDS_STEP_ON && k < i->elements; k++) {
        const u8 *from = w->file + kds_ins_element(w->run->kernel, i, k);
        if (i->compare != 0)
            transpose(from, data[k]);
        else
            memcpy(data[k], from, 128);
    }
    return s == KDS_STEP_ON ? move_matrices(w, i, data[0], true) : s;
}

HANDLER(movmatrix)
{
    (void)out;
    kds_step s = all_lanes(w, i);
    if (s == KDS_STEP_ON && i->d >= 0)
        transpose(w->file + i->a, w->file + i->d);
    return s;
}

/* ---- wmma.load, wmma.store ---- */

/* Where a fragment lies in memory. */
typedef struct matrix_place {
    u64 base;
    s64 stride;     /* bytes from line to line */
    unsigned align; /* of the lines */
    kds_ptx_space space;
} matrix_place;

/* The address and the stride, which all lanes must give alike. Lines must be aligned like a lane's
 * fragment; of fragments above 16 bytes CUDA asks for 16. */
static inline kds_step find_matrix(kds_warp *w, const kds_ins *i, bool store, matrix_place *m)
{
    u64 a[KDS_LANES] __attribute__((aligned(64)));
    const s32 *stride = REGISTER(s32, i->b);
    lane_addresses(w, i->a, i->combine, i->imm, a);
    for (int l = 1; l < KDS_LANES; l++)
        if (a[l] != a[0] || stride[l] != stride[0])
            return kds_fault_text(w->run, KDS_SIM_BARRIER, i, (uint32_t)l,
                                  "lanes 0 and %d give different %s", l,
                                  a[l] != a[0] ? "addresses" : "strides");
    m->base = a[0];
    m->space = matrix_space(i, &m->base);
    m->stride = (s64)stride[0] * i->bytes;
    m->align = i->listed * (i->bytes == 8 ? 8u : 4u);
    m->align = m->align < 16 ? m->align : 16;
    if (m->base % m->align != 0)
        return kds_fault_at(w->run, KDS_SIM_MISALIGNED, i, 0, m->space, m->base, m->align, store);
    if (m->stride % m->align != 0)
        return kds_fault_text(w->run, KDS_SIM_MISALIGNED, i, 0,
                              "a stride of %d elements is %lld bytes: not a multiple of %u",
                              stride[0], (long long)m->stride, m->align);
    return KDS_STEP_ON;
}

/* First line of block b, and its first element along the other side. */
static inline void block_place(const kds_ins *i, int b, int *line, int *along)
{
    int deep = i->rounding, span = 4 * i->type2;
    switch ((kds_tensor_role)i->type) {
    case KDS_TENSOR_ROWS:
        *line = 16 * (b / (2 * deep)) + 8 * (b & 1);
        *along = span * ((b >> 1) % deep);
        return;
    case KDS_TENSOR_COLUMNS:
        *line = 8 * (b / deep);
        *along = span * (b % deep);
        return;
    case KDS_TENSOR_SUM_WIDE:
        *line = 8 * (b & 1);
        *along = 8 * (b >> 1);
        return;
    default:
        *line = 8 * (b & 1) + 16 * (b >> 1);
        *along = 0;
        return;
    }
}

/* Counts one access of all lanes, of `bytes` each: the lines j, j + each, ... of `per_line` pieces.
 */
static inline void count_matrix(kds_warp *w, const matrix_piece *p, int count, int per_line,
                                int each, int j, unsigned bytes, bool store)
{
    kds_run *run = w->run;
    u64 a[KDS_LANES] __attribute__((aligned(64))) = {0};
    bool global = p->space == KDS_SPACE_GLOBAL;
    bool lines = count == 8 && each == 1 && p->bytes == 16;
    int n = 0;
    for (int k = 0; k < count; k++) {
        if (k / per_line % each != j)
            continue;
        if (global || lines) {
            a[n++] = p[k].address;
            continue;
        }
        for (unsigned at = 0; at < p[k].bytes; at += bytes)
            a[p[k].lane + (int)(at / bytes) * p[k].step] = p[k].address + at;
    }
    if (!global) {
        unsigned ideal = 1;
        unsigned wavefronts =
            lines ? line_wavefronts(a) : count_wavefronts(a, KDS_FULL, bytes, &ideal);
        count_shared(run, wavefronts, ideal, store);
        return;
    }
    uint32_t fresh;
    unsigned sectors = count_sectors(a, KDS_FULL >> (32 - n), &fresh);
    count_lane_lines(w, a, fresh, store);
    if (store) {
        run->counts.store_requests++;
        run->counts.store_sectors += sectors;
    } else {
        run->counts.load_requests++;
        run->counts.load_sectors += sectors;
    }
}

/* Moves the lines of one block. Straight: 8 lines, each of four lanes' elements. Crossed: memory
 * runs along the lines, so there is a line in memory for each element of the four lanes. */
static inline kds_step move_block(kds_warp *w, const kds_ins *i, const matrix_place *m, int b,
                                  u8 *data, bool store)
{
    matrix_piece p[MATRIX_PIECES];
    bool crossed = i->compare != 0, exchanged = crossed && i->bytes == 2;
    int line, along, each = i->type2, lines = crossed ? 4 * each : 8, count = 0;
    unsigned length = (unsigned)((crossed ? 8 : 4 * each) * i->bytes);
    unsigned piece = length < m->align ? length : m->align;
    block_place(i, b, &line, &along);
    for (int y = 0; y < lines; y++) {
        s64 at = crossed ? (along + y) * m->stride + line * i->bytes
                         : (line + y) * m->stride + along * i->bytes;
        for (unsigned k = 0; k < length; k += piece) {
            matrix_piece *q = &p[count++];
            q->address = m->base + (u64)at + k;
            if (i->space == KDS_SPACE_SHARED || m->space == KDS_SPACE_SHARED)
                q->address &= 0xffffffffu;
            q->data = data + (unsigned)y * length + k;
            q->bytes = piece;
            q->space = m->space;
            q->part = crossed && !exchanged ? i->bytes : (unsigned)(each * i->bytes);
            q->step = crossed && !exchanged ? 4 : 1;
            q->lane = crossed && !exchanged ? y / each + 4 * (int)(k / i->bytes)
                                            : 4 * y + (int)(k / q->part);
            kds_step s = move_piece(w, i, q, store);
            if (s != KDS_STEP_ON)
                return s;
        }
    }
    /* Crossed, an access takes one element of each lane, unless pairs are exchanged afterwards. */
    int accesses = crossed && !exchanged ? each : 1;
    for (int j = 0; j < accesses; j++)
        count_matrix(w, p, count, (int)(length / piece), accesses, j, p[0].part, store);
    return KDS_STEP_ON;
}

/* Between a block as it lies in memory and lane after lane. */
static inline void cross_block(const kds_ins *i, u8 *memory, u8 *lanes, bool store)
{
    int each = i->type2, bytes = i->bytes;
    for (int l = 0; l < KDS_LANES; l++)
        for (int j = 0; j < each; j++) {
            u8 *m = memory + ((each * (l % 4) + j) * 8 + l / 4) * bytes;
            u8 *own = lanes + (l * each + j) * bytes;
            copy_lane(store ? m : own, store ? own : m, (unsigned)bytes);
        }
}

/* Between lane after lane and the registers of block b: one or two. */
static inline void block_registers(kds_warp *w, const kds_ins *i, int b, u8 *lanes, bool store)
{
    int width = i->bytes == 8 ? 8 : 4, count = i->type2 * i->bytes / width;
    for (int r = b * count; r < i->listed; r += i->elements * count)
        for (int q = 0; q < count; q++) {
            int32_t ref = kds_ins_element(w->run->kernel, i, r + q);
            if (ref < 0)
                continue;
            for (int l = 0; l < KDS_LANES; l++) {
                u8 *own = lanes + (l * count + q) * width, *reg = w->file + ref + l * width;
                copy_lane(store ? own : reg, store ? reg : own, (unsigned)width);
            }
        }
}

HANDLER(wmma_load)
{
    (void)out;
    u8 memory[512] __attribute__((aligned(64))), lanes[512] __attribute__((aligned(64)));
    matrix_place m = {0};
    kds_step s = all_lanes(w, i);
    if (s == KDS_STEP_ON)
        s = find_matrix(w, i, false, &m);
    u8 staged[8][512];
    for (int b = 0; s == KDS_STEP_ON && b < i->elements; b++) {
        s = move_block(w, i, &m, b, memory, false);
        if (i->compare != 0)
            cross_block(i, memory, lanes, false);
        memcpy(staged[b], i->compare != 0 ? lanes : memory, sizeof staged[b]);
    }
    for (int b = 0; s == KDS_STEP_ON && b < i->elements; b++)
        block_registers(w, i, b, staged[b], false);
    return s;
}

HANDLER(wmma_store)
{
    (void)out;
    u8 memory[512] __attribute__((aligned(64))), lanes[512] __attribute__((aligned(64)));
    matrix_place m = {0};
    kds_step s = all_lanes(w, i);
    if (s == KDS_STEP_ON)
        s = find_matrix(w, i, true, &m);
    for (int b = 0; s == KDS_STEP_ON && b < i->elements; b++) {
        block_registers(w, i, b, lanes, true);
        if (i->compare != 0)
            cross_block(i, memory, lanes, true);
        s = move_block(w, i, &m, b, i->compare != 0 ? memory : lanes, true);
    }
    return s;
}
