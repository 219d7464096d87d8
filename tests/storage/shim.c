/*
 * Faults of the operating system at one place of a run: preloaded, switched through a mapped file.
 *
 * Only calls on the log and on its lock file are counted, found by their path, and only those of
 * the process that the switch names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, FALLOCATE, FLOCK, LSEEK, OPEN, OPEN_LOCK };
enum { SHORT = -1, KILL = -2, STALL = -3, SHORT_STALL = -4, SHORT_STOP = -5, STOP = -6 };

struct control {
    int pid, op, at, times, fault, amount, count, fired;
    char path[PATH_MAX];
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULTS");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *found = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found != MAP_FAILED)
        control = found;
}

static int is_lock(const char *path) {
    const char *name = strrchr(control->path, '/') + 1;
    size_t folder = name - control->path;
    char lock[PATH_MAX + 8];
    snprintf(lock, sizeof lock, "%.*s.%s.lock", (int)folder, control->path, name);
    return strcmp(path, lock) == 0;
}

/* The fault that is due for a call on a file, else 0. */
static int due_at(int op, const char *path) {
    int wants = control->op;
    if (op == OPEN && wants == OPEN_LOCK)
        op = OPEN_LOCK;
    if (wants != op || control->pid != getpid())
        return 0;
    if (op == FLOCK || op == OPEN_LOCK ? !is_lock(path) : strcmp(path, control->path) != 0)
        return 0;
    int number = control->count++;
    if (number < control->at || number >= control->at + control->times)
        return 0;
    control->fired++;
    return control->fault;
}

static int due(int op, int fd) {
    char link[64], path[PATH_MAX];
    if (control == NULL || control->op != op)
        return 0;
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length < 0)
        return 0;
    path[length] = 0;
    return due_at(op, path);
}

static void sleep_ms(int amount) {
    struct timespec left = {amount / 1000, amount % 1000 * 1000000L};
    while (nanosleep(&left, &left) && errno == EINTR)
        continue;
}

#define NEXT(type, name) \
    static type next; \
    if (!next) \
        next = (type)dlsym(RTLD_NEXT, name)

typedef ssize_t (*write_type)(int, const void *, size_t);

ssize_t write(int fd, const void *data, size_t length) {
    NEXT(write_type, "write");
    int fault = due(WRITE, fd);
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    if (fault == 0)
        return next(fd, data, length);
    size_t amount = (size_t)control->amount < length ? (size_t)control->amount : length / 2;
    ssize_t done;
    switch (fault) {
    case KILL:
        next(fd, data, length / 2);
        raise(SIGKILL);
        return -1;
    case STALL:
        sleep_ms(control->amount);
        return next(fd, data, length);
    case STOP:
        raise(SIGSTOP);
        return next(fd, data, length);
    case SHORT_STALL:
        done = next(fd, data, length / 2);
        sleep_ms(control->amount);
        return done;
    case SHORT_STOP:
        done = next(fd, data, length / 2);
        raise(SIGSTOP);
        return done;
    default:
        return next(fd, data, amount);
    }
}

#define FAIL(op, fd) \
    int fault = due(op, fd); \
    if (fault > 0) { \
        errno = fault; \
        return -1; \
    }

typedef int (*fallocate_type)(int, int, off_t, off_t);

int fallocate(int fd, int mode, off_t offset, off_t length) {
    NEXT(fallocate_type, "fallocate");
    FAIL(FALLOCATE, fd)
    return next(fd, mode, offset, length);
}

typedef int (*flock_type)(int, int);

int flock(int fd, int operation) {
    NEXT(flock_type, "flock");
    FAIL(FLOCK, fd)
    return next(fd, operation);
}

typedef off_t (*lseek_type)(int, off_t, int);

off_t lseek(int fd, off_t offset, int whence) {
    NEXT(lseek_type, "lseek");
    FAIL(LSEEK, fd)
    return next(fd, offset, whence);
}

off_t lseek64(int fd, off_t offset, int whence) { return lseek(fd, offset, whence); }

typedef int (*open_type)(const char *, int, ...);

int open(const char *path, int flags, ...) {
    NEXT(open_type, "open");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int fault = control ? due_at(OPEN, path) : 0;
    if (fault > 0) {
        errno = fault;
        return -1;
    }
    return next(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open(path, flags, mode);
}
