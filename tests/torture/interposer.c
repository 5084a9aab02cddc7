/* Stands between a program and the C library: counts what it writes below one folder, and fails it when told to.

   Given by LD_PRELOAD; does nothing before `arm` is called. What counts is every call that makes, fills, moves or
   removes something below the folder: see `MADE` to `REMOVED`. */

#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { MADE = 'm', WRITTEN = 'w', FLUSHED = 'f', MOVED = 'r', REMOVED = 'u' };
enum action { COUNT, KILL, FAULT, SHORT, FULL, CUT, PROTECTED };

#define MOST 100000

static char folder[4096];
static size_t length;
static int action;
static long at;
static atomic_long calls;
static char kinds[MOST];

/* From now on what happens below `path` counts; at the call numbered `number`, from 1, `what` is done. */
void arm(const char *path, int what, long number)
{
    action = what;
    at = number;
    atomic_store(&calls, 0);
    length = strlen(path);
    memcpy(folder, path, length + 1);
}

/* How many calls there were; the kind of each is written into `into`, as a capital where something was done. */
long counted(char *into, long room)
{
    long count = atomic_load(&calls);
    memcpy(into, kinds, count < room ? count : room);
    return count;
}

static int is_below(const char *path)
{
    return length && strncmp(path, folder, length) == 0;
}

static int is_ours(int file)
{
    char link[64], path[4096];
    if (!length)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t count = readlink(link, path, sizeof path - 1);
    if (count < 0)
        return 0;
    path[count] = 0;
    return is_below(path);
}

/* What the system is to say to the call of this number: 0, an error's number, or -1 for half of what was to be
   written. */
static int answer(enum kind kind, long number)
{
    int grows = kind == WRITTEN || kind == MADE;
    switch (action) {
    case KILL:
        if (number == at && kind == WRITTEN)
            return -1;
        if (number == at)
            raise(SIGKILL);
        return 0;
    case FAULT:
        return number == at ? EIO : 0;
    case SHORT:
        return number == at ? -1 : 0;
    case FULL:
        return number >= at && grows ? ENOSPC : 0;
    case CUT:
        return number == at ? -1 : number > at && grows ? ENOSPC : 0;
    case PROTECTED:
        return number >= at && kind != FLUSHED ? EROFS : 0;
    }
    return 0;
}

static int verdict(enum kind kind)
{
    long number = atomic_fetch_add(&calls, 1) + 1;
    int met = answer(kind, number);
    if (number <= MOST)
        kinds[number - 1] = met ? toupper(kind) : kind;
    return met;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define REFUSED(met) do { if ((met) > 0) { errno = (met); return -1; } } while (0)

static ssize_t half_written(ssize_t written)
{
    if (action == KILL)
        raise(SIGKILL);
    return written;
}

ssize_t write(int file, const void *bytes, size_t count)
{
    REAL(write);
    if (!is_ours(file))
        return real(file, bytes, count);
    int met = verdict(WRITTEN);
    REFUSED(met);
    return met ? half_written(real(file, bytes, (count + 1) / 2)) : real(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t place)
{
    REAL(pwrite64);
    if (!is_ours(file))
        return real(file, bytes, count, place);
    int met = verdict(WRITTEN);
    REFUSED(met);
    return met ? half_written(real(file, bytes, (count + 1) / 2, place)) : real(file, bytes, count, place);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t place)
{
    return pwrite64(file, bytes, count, place);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    REAL(writev);
    if (!is_ours(file))
        return real(file, parts, count);
    int met = verdict(WRITTEN);
    REFUSED(met);
    return met ? half_written(real(file, parts, (count + 1) / 2)) : real(file, parts, count);
}

size_t fwrite(const void *bytes, size_t size, size_t count, FILE *stream)
{
    REAL(fwrite);
    if (!is_ours(fileno(stream)))
        return real(bytes, size, count, stream);
    int met = verdict(WRITTEN);
    if (met > 0) {
        errno = met;
        return 0;
    }
    if (!met)
        return real(bytes, size, count, stream);
    size_t done = real(bytes, size, (count + 1) / 2, stream);
    fflush(stream);
    return half_written(done);
}

/* Not declared by what is included, so that its type has to be written out. */
ssize_t sendfile(int into, int from, off_t *place, size_t count)
{
    ssize_t (*real)(int, int, off_t *, size_t) = dlsym(RTLD_NEXT, "sendfile");
    if (!is_ours(into))
        return real(into, from, place, count);
    int met = verdict(WRITTEN);
    REFUSED(met);
    return met ? half_written(real(into, from, place, (count + 1) / 2)) : real(into, from, place, count);
}

ssize_t sendfile64(int into, int from, off_t *place, size_t count)
{
    return sendfile(into, from, place, count);
}

int ftruncate64(int file, off64_t size)
{
    REAL(ftruncate64);
    if (is_ours(file)) {
        int met = verdict(MOVED);
        REFUSED(met);
    }
    return real(file, size);
}

int ftruncate(int file, off_t size)
{
    return ftruncate64(file, size);
}

int fsync(int file)
{
    REAL(fsync);
    if (is_ours(file)) {
        int met = verdict(FLUSHED);
        REFUSED(met);
    }
    return real(file);
}

int fdatasync(int file)
{
    REAL(fdatasync);
    if (is_ours(file)) {
        int met = verdict(FLUSHED);
        REFUSED(met);
    }
    return real(file);
}

#define OPENED(name)                                                                                                   \
    int name(const char *path, int flags, ...)                                                                         \
    {                                                                                                                  \
        REAL(name);                                                                                                    \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;                                                      \
        va_end(rest);                                                                                                  \
        if (flags & (O_CREAT | O_WRONLY | O_RDWR) && is_below(path)) {                                                 \
            int met = verdict(MADE);                                                                                   \
            REFUSED(met);                                                                                              \
        }                                                                                                              \
        return real(path, flags, mode);                                                                                \
    }

OPENED(open)
OPENED(open64)

int rename(const char *from, const char *into)
{
    REAL(rename);
    if (is_below(into)) {
        int met = verdict(MOVED);
        REFUSED(met);
    }
    return real(from, into);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    if (is_below(path)) {
        int met = verdict(MADE);
        REFUSED(met);
    }
    return real(path, mode);
}

int chmod(const char *path, mode_t mode)
{
    REAL(chmod);
    if (is_below(path)) {
        int met = verdict(MOVED);
        REFUSED(met);
    }
    return real(path, mode);
}

int unlink(const char *path)
{
    REAL(unlink);
    if (is_below(path)) {
        int met = verdict(REMOVED);
        REFUSED(met);
    }
    return real(path);
}
