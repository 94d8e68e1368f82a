/* Frames between processes: exact wire form, every cut, hostile lengths, real sockets and pipes. */
#include "search/base/frame.h"
#include "search/base/spawn.h"
#include "tests/base/base_test.h"
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

static kds_err error;

/* A frame with the header {"job":N} and two blobs, one empty. */
static void make(kds_frame *f, int job)
{
    kds_frame_init(f);
    f->header = cJSON_CreateObject();
    assert_true(kds_json_add_int(f->header, "job", job));
    assert_int_equal(kds_frame_add(f, "a\0b", 3), 0);
    assert_int_equal(kds_frame_add(f, NULL, 0), 1);
}

static void check(const kds_frame *f, int job)
{
    assert_int_equal(kds_json_int(f->header, "job", -1), job);
    assert_int_equal(f->blob_count, 2);
    assert_int_equal(f->blobs[0].len, 3);
    assert_memory_equal(f->blobs[0].data, "a\0b", 4);
    assert_int_equal(f->blobs[1].len, 0);
    assert_string_equal(f->blobs[1].data, "");
}

static const char WIRE[] = "KDS1\x09\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0{\"job\":7}a\0b";
#define WIRE_LEN (sizeof WIRE - 1)

static void has_the_documented_wire_form(void **state)
{
    (void)state;
    kds_frame f;
    kds_buf out;
    make(&f, 7);
    kds_buf_init(&out, 1000);
    assert_int_equal(kds_frame_encode(&f, &out, &error), KDS_OK);
    assert_int_equal(out.len, WIRE_LEN);
    assert_memory_equal(out.data, WIRE, WIRE_LEN);
    kds_buf_free(&out);
    kds_frame_free(&f);
    kds_frame_free(&f);
    kds_frame_free(NULL);
}

static void decodes_however_the_bytes_arrive(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= WIRE_LEN; cut++) {
        kds_buf in;
        kds_frame f;
        bool got = true;
        kds_frame_init(&f);
        kds_buf_init(&in, 1000);
        kds_buf_add(&in, WIRE, cut);
        assert_int_equal(kds_frame_decode(&in, &f, &got, &error), KDS_OK);
        assert_int_equal(got, cut == WIRE_LEN);
        if (cut < WIRE_LEN) {
            assert_null(f.header);
            assert_int_equal(in.len, cut);
            kds_buf_add(&in, WIRE + cut, WIRE_LEN - cut);
            assert_int_equal(kds_frame_decode(&in, &f, &got, &error), KDS_OK);
            assert_true(got);
        }
        check(&f, 7);
        assert_int_equal(in.len, 0);
        kds_frame_free(&f);
        kds_buf_free(&in);
    }
}

static void takes_one_frame_at_a_time(void **state)
{
    (void)state;
    kds_buf in;
    bool got;
    kds_buf_init(&in, 10000);
    for (int i = 0; i < 3; i++) {
        kds_frame f;
        make(&f, i);
        assert_int_equal(kds_frame_encode(&f, &in, &error), KDS_OK);
        kds_frame_free(&f);
    }
    kds_buf_puts(&in, "KD");
    for (int i = 0; i < 3; i++) {
        kds_frame f;
        assert_int_equal(kds_frame_decode(&in, &f, &got, &error), KDS_OK);
        assert_true(got);
        check(&f, i);
        kds_frame_free(&f);
    }
    kds_frame none;
    assert_int_equal(kds_frame_decode(&in, &none, &got, &error), KDS_OK);
    assert_false(got);
    assert_int_equal(in.len, 2);
    kds_buf_free(&in);
}

#define U32(v) (char)((v)&255), (char)((v) >> 8 & 255), (char)((v) >> 16 & 255), (char)((v) >> 24)
#define MAX KDS_FRAME_CAP

/* Beginnings that are refused at once, however little follows them. */
static const struct {
    char bytes[40];
    size_t len;
    const char *want;
} HOSTILE[] = {
    {{'X'}, 1, "not a frame: it begins with 'X' instead of KDS1"},
    {{'K', 'D', 'S', '2'}, 4, "not a frame: it begins with 'KDS2' instead of KDS1"},
    {{'K', 'D', '\x1b', '\n', 'x'}, 5, "not a frame: it begins with 'KD\\x1B\n' instead of KDS1"},
    {{'K', 'D', 'S', '1', U32(MAX + 1), U32(0)},
     12,
     "a frame with a header of 16777217 bytes; at most 16777216"},
    {{'K', 'D', 'S', '1', U32(0xffffffffu), U32(0xffffffffu)},
     12,
     "a frame with a header of 4294967295 bytes; at most 16777216"},
    {{'K', 'D', 'S', '1', U32(2), U32(65)}, 12, "a frame with 65 blobs; at most 64"},
    {{'K', 'D', 'S', '1', U32(2), U32(0x40000001u)},
     12,
     "a frame with 1073741825 blobs; at most 64"},
    {{'K', 'D', 'S', '1', U32(2), U32(2), U32(0), U32(MAX + 1)},
     20,
     "a frame with a blob of 16777217 bytes; at most 16777216"},
    {{'K', 'D', 'S', '1', U32(1), U32(4), U32(MAX), U32(MAX), U32(MAX), U32(MAX)},
     28,
     "a frame of 67108865 bytes; at most 67108864"},
    {{'K', 'D', 'S', '1', U32(2), U32(0), '{', ']'},
     14,
     "a frame whose header is not a JSON object"},
    {{'K', 'D', 'S', '1', U32(2), U32(0), '[', ']'},
     14,
     "a frame whose header is not a JSON object"},
    {{'K', 'D', 'S', '1', U32(0), U32(0)}, 12, "a frame whose header is not a JSON object"},
    {{'K', 'D', 'S', '1', U32(3), U32(0), '{', '}', '\0'},
     15,
     "a frame whose header is not a JSON object"},
};

static void refuses_hostile_beginnings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof HOSTILE / sizeof *HOSTILE; i++) {
        kds_buf in;
        kds_frame f;
        bool got = false;
        int pipe_ends[2];
        kds_frame_init(&f);
        kds_buf_init(&in, 5u * MAX);
        kds_buf_add(&in, HOSTILE[i].bytes, HOSTILE[i].len);
        assert_int_equal(kds_frame_decode(&in, &f, &got, &error), KDS_PROTOCOL);
        assert_string_equal(error.message, HOSTILE[i].want);
        assert_false(got);
        assert_null(f.header);
        kds_buf_free(&in);
        if (HOSTILE[i].len < 12)
            continue;
        /* The blocking reader does not wait for what will never be accepted: the other end stays
         * open here. */
        assert_int_equal(pipe(pipe_ends), 0);
        assert_int_equal(write(pipe_ends[1], HOSTILE[i].bytes, HOSTILE[i].len), HOSTILE[i].len);
        assert_int_equal(kds_frame_read(pipe_ends[0], &f, &error), KDS_PROTOCOL);
        assert_string_equal(error.message, HOSTILE[i].want);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
    }
}

/* A header that claims 64 MiB and delivers ten bytes costs no memory. */
static void allocates_only_for_what_arrived(void **state)
{
    (void)state;
    static const char claim[] = {'K',    'D',      'S',      '1',      U32(2),
                                 U32(4), U32(MAX), U32(MAX), U32(MAX), U32(MAX - 2)};
    kds_buf in;
    kds_frame f;
    bool got = true;
    int ends[2];
    kds_buf_init(&in, 5u * MAX);
    kds_buf_add(&in, claim, sizeof claim);
    kds_buf_puts(&in, "{}12345678");
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    small = before;
#if !defined(__SANITIZE_ADDRESS__)
    small.rlim_cur = 32u << 20;
#endif
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], in.data, in.len), in.len);
    close(ends[1]);
    assert_int_equal(setrlimit(RLIMIT_DATA, &small), 0);
    kds_code decoded = kds_frame_decode(&in, &f, &got, &error);
    kds_code read = kds_frame_read(ends[0], &f, &error);
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    close(ends[0]);
    assert_int_equal(decoded, KDS_OK);
    assert_false(got);
    assert_true(in.room < 1000);
    assert_int_equal(read, KDS_PROTOCOL);
    assert_string_equal(error.message, "the stream ended after 38 bytes of a frame of 67108892");
    kds_buf_free(&in);
}

static void a_frame_must_fit_its_buffer(void **state)
{
    (void)state;
    kds_buf in;
    kds_frame f;
    bool got;
    kds_buf_init(&in, WIRE_LEN - 1);
    kds_buf_add(&in, WIRE, 20);
    assert_int_equal(kds_frame_decode(&in, &f, &got, &error), KDS_TOO_LARGE);
    assert_string_equal(error.message, "a frame of 32 bytes does not fit a buffer of 31");
    kds_buf_free(&in);
}

static void adding_is_capped(void **state)
{
    (void)state;
    kds_frame f;
    kds_buf out;
    char *large = calloc(1, MAX + 1);
    make(&f, 1);
    assert_int_equal(kds_frame_add(&f, large, MAX + 1), -1);
    for (int i = 2; i < KDS_FRAME_BLOBS; i++)
        assert_int_equal(kds_frame_add(&f, "x", 1), i);
    assert_int_equal(kds_frame_add(&f, "x", 1), -1);
    kds_buf_init(&out, 20);
    assert_int_equal(kds_frame_encode(&f, &out, &error), KDS_TOO_LARGE);
    kds_buf_free(&out);
    kds_frame_free(&f);

    make(&f, 1);
    for (int i = 0; i < 4; i++)
        assert_true(kds_frame_add(&f, large, MAX) > 0);
    kds_buf_init(&out, SIZE_MAX);
    assert_int_equal(kds_frame_encode(&f, &out, &error), KDS_TOO_LARGE);
    assert_string_equal(error.message, "a frame of 67108876 bytes (header 9); at most 67108864 "
                                       "(header 16777216) are allowed");
    kds_frame_free(&f);
    memset(large, 'x', MAX);
    f.header = cJSON_CreateObject();
    assert_true(kds_json_add_str(f.header, "k", large));
    assert_int_equal(kds_frame_encode(&f, &out, &error), KDS_TOO_LARGE);
    kds_frame_free(&f);
    assert_int_equal(kds_frame_encode(&f, &out, &error), KDS_FAILED);
    kds_buf_free(&out);
    free(large);
}

typedef struct sender {
    int fd;
    const char *bytes;
    size_t len, piece;
} sender;

static void *send_pieces(void *user)
{
    const sender *s = user;
    for (size_t i = 0; i < s->len; i += s->piece) {
        size_t n = s->len - i < s->piece ? s->len - i : s->piece;
        if (write(s->fd, s->bytes + i, n) != (ssize_t)n)
            break;
    }
    close(s->fd);
    return NULL;
}

static void reads_every_cut_of_a_stream(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= WIRE_LEN; cut++) {
        int ends[2];
        kds_frame f;
        pthread_t thread;
        kds_frame_init(&f);
        assert_int_equal(pipe(ends), 0);
        sender s = {ends[1], WIRE, cut, 1};
        assert_int_equal(pthread_create(&thread, NULL, send_pieces, &s), 0);
        kds_code code = kds_frame_read(ends[0], &f, &error);
        pthread_join(thread, NULL);
        close(ends[0]);
        assert_int_equal(code, cut == 0 ? KDS_NOT_FOUND : cut == WIRE_LEN ? KDS_OK : KDS_PROTOCOL);
        if (cut == WIRE_LEN)
            check(&f, 7);
        else if (cut > 0)
            assert_non_null(strstr(error.message, "the stream ended after "));
        kds_frame_free(&f);
    }
}

static void *echo(void *user)
{
    int fd = *(const int *)user;
    kds_frame f;
    for (;;) {
        kds_code code = kds_frame_read(fd, &f, NULL);
        if (code != KDS_OK)
            return code == KDS_NOT_FOUND ? NULL : user;
        code = kds_frame_write(fd, &f, NULL);
        kds_frame_free(&f);
        if (code != KDS_OK)
            return user;
    }
}

/* Large frames over a channel whose near end is non-blocking, as parent and worker use it. */
static void large_frames_cross_a_channel(void **state)
{
    (void)state;
    int ends[2];
    pthread_t thread;
    void *failed;
    enum { LARGE = 3000000 };
    char *data = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        data[i] = (char)(i * 7 + i / 251);
    assert_int_equal(kds_channel_pair(ends, &error), KDS_OK);
    assert_int_equal(pthread_create(&thread, NULL, echo, &ends[1]), 0);
    for (int i = 0; i < 3; i++) {
        kds_frame f, back;
        make(&f, i);
        assert_int_equal(kds_frame_add(&f, data, LARGE), 2);
        assert_int_equal(kds_frame_write(ends[0], &f, &error), KDS_OK);
        kds_frame_free(&f);
        assert_int_equal(kds_frame_read(ends[0], &back, &error), KDS_OK);
        assert_int_equal(kds_json_int(back.header, "job", -1), i);
        assert_int_equal(back.blobs[2].len, LARGE);
        assert_memory_equal(back.blobs[2].data, data, LARGE);
        kds_frame_free(&back);
    }
    close(ends[0]);
    pthread_join(thread, &failed);
    assert_null(failed);
    close(ends[1]);
    free(data);
}

static void a_gone_reader_is_an_error_not_a_signal(void **state)
{
    (void)state;
    int ends[2];
    kds_frame f;
    make(&f, 1);
    assert_int_equal(kds_channel_pair(ends, &error), KDS_OK);
    close(ends[1]);
    assert_int_equal(kds_frame_write(ends[0], &f, &error), KDS_IO); /* SIGPIPE would end us */
    assert_int_equal(error.sys_errno, EPIPE);
    close(ends[0]);
    assert_int_equal(kds_frame_write(-1, &f, &error), KDS_IO);
    assert_int_equal(error.sys_errno, EBADF);
    kds_frame_free(&f);
    assert_int_equal(kds_frame_read(-1, &f, &error), KDS_IO);
    f.header = cJSON_CreateArray();
    assert_int_equal(kds_frame_write(1, &f, &error), KDS_FAILED);
    kds_frame_free(&f);
    make(&f, 7);
    int pipe_ends[2];
    char got[64];
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(kds_frame_write(pipe_ends[1], &f, &error), KDS_OK);
    assert_int_equal(read(pipe_ends[0], got, sizeof got), WIRE_LEN);
    assert_memory_equal(got, WIRE, WIRE_LEN);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    kds_frame_free(&f);
}

/* Every single-byte change of a good frame is either a frame or refused; the sanitizers watch. */
static void survives_every_flipped_byte(void **state)
{
    (void)state;
    int good = 0, refused = 0, waiting = 0;
    for (size_t at = 0; at < WIRE_LEN; at++) {
        for (int v = 0; v < 256; v++) {
            kds_buf in;
            kds_frame f;
            bool got = false;
            kds_buf_init(&in, 5u * MAX);
            kds_buf_add(&in, WIRE, WIRE_LEN);
            in.data[at] = (char)v;
            kds_code code = kds_frame_decode(&in, &f, &got, NULL);
            assert_true(code == KDS_OK || code == KDS_PROTOCOL);
            if (code == KDS_OK && got)
                kds_frame_free(&f);
            *(code != KDS_OK ? &refused : got ? &good : &waiting) += 1;
            kds_buf_free(&in);
        }
    }
    assert_true(good > 700 && refused > 3000 && waiting > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_documented_wire_form),
        cmocka_unit_test(decodes_however_the_bytes_arrive),
        cmocka_unit_test(takes_one_frame_at_a_time),
        cmocka_unit_test(refuses_hostile_beginnings),
        cmocka_unit_test(allocates_only_for_what_arrived),
        cmocka_unit_test(a_frame_must_fit_its_buffer),
        cmocka_unit_test(adding_is_capped),
        cmocka_unit_test(reads_every_cut_of_a_stream),
        cmocka_unit_test(large_frames_cross_a_channel),
        cmocka_unit_test(a_gone_reader_is_an_error_not_a_signal),
        cmocka_unit_test(survives_every_flipped_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
