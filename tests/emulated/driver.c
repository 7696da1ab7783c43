/* Runs jobs of the scan routine, given on stdin, and answers each on stdout, until stdin ends.

   In, for each field of a job, two int64: (value, -1) for a number, (1, size) and that many bytes
   for an array with content, (0, size) for work space. Out: the fields after the run, then the rows
   found. N_FIELDS, COUNT and FOUND come from the compiler's command line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void scan(int64_t *job);

static void need(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "driver: %s\n", what);
        exit(1);
    }
}

static void read_bytes(void *to, size_t size) {
    need(fread(to, 1, size, stdin) == size, "the job ends too early");
}

/* An array that ends at a page that must not be touched, so that one byte read or written too far
   is a crash. All sizes but the digits' are multiples of 16, so that what must be aligned is. */
struct fenced {
    unsigned char *all, *array;
    size_t size;
};

static struct fenced fence(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t inside = (size + page - 1) / page * page;
    struct fenced made = {.size = inside + 2 * page};
    made.all = mmap(NULL, made.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(made.all != MAP_FAILED, "no memory");
    need(mprotect(made.all, page, PROT_NONE) == 0, "no fence in front");
    need(mprotect(made.all + page + inside, page, PROT_NONE) == 0, "no fence behind");
    made.array = made.all + page + inside - size;
    return made;
}

static void run(void) {
    int64_t job[N_FIELDS];
    struct fenced arrays[N_FIELDS];
    int n_arrays = 0;
    for (int i = 0; i < N_FIELDS; i++) {
        int64_t field[2];
        read_bytes(field, sizeof field);
        job[i] = field[0];
        if (field[1] < 0)
            continue;
        struct fenced made = fence((size_t)field[1]);
        arrays[n_arrays++] = made;
        if (field[0])
            read_bytes(made.array, (size_t)field[1]);
        else /* the answer must not depend on what work space holds */
            memset(made.array, 0xff, (size_t)field[1]);
        job[i] = (int64_t)(intptr_t)made.array;
    }
    scan(job);
    size_t size = (size_t)job[COUNT] * 2 * sizeof(int64_t);
    need(fwrite(job, sizeof job, 1, stdout) == 1, "no room for the answer");
    need(fwrite((void *)(intptr_t)job[FOUND], 1, size, stdout) == size, "no room for the rows");
    need(fflush(stdout) == 0, "no room for the answer");
    while (n_arrays-- > 0)
        munmap(arrays[n_arrays].all, arrays[n_arrays].size);
}

int main(void) {
    int next;
    while ((next = getchar()) != EOF) {
        ungetc(next, stdin);
        run();
    }
    return 0;
}
