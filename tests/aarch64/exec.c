/* Preloaded into emulated programs: what they execute is emulated too.
 *
 * QEMU's user emulation hands `execve` to the kernel of the host, which knows no aarch64 programs unless binfmt_misc was
 * set up, and that takes rights which containers do not have. So a program for aarch64 is replaced by the emulator with
 * that program as an argument; everything else (tools of the host) is executed as it is.
 *
 * Built by run.sh with three definitions: EMULATOR and SYSROOT, absolute paths, and SELF, that of this library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* Programs of the host inherit the environment, and their loader would complain of a library for aarch64. */
__attribute__((constructor)) static void hide(void)
{
    unsetenv("LD_PRELOAD");
}

/* Whether the emulator has to run `file`. Names without a slash are searched for in PATH, where the host's tools are. */
static int emulated(const char *file)
{
    Elf64_Ehdr header;
    int descriptor;
    ssize_t read_bytes;

    if (strchr(file, '/') == NULL)
        return 0;
    descriptor = open(file, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return 0;
    read_bytes = read(descriptor, &header, sizeof header);
    close(descriptor);
    return read_bytes == sizeof header && memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
           header.e_machine == EM_AARCH64;
}

/* The emulator's arguments for `file` with `argv`; NULL without memory. */
static char **arguments(const char *file, char *const argv[])
{
    static const char *const before[] = {EMULATOR, "-L", SYSROOT, "-E", "LD_PRELOAD=" SELF, "-0"};
    const size_t fixed = sizeof before / sizeof *before;
    size_t count = 0, i;
    char **all;

    while (argv[count] != NULL)
        count++;
    all = calloc(fixed + count + 3, sizeof *all);
    if (all == NULL)
        return NULL;
    for (i = 0; i < fixed; i++)
        all[i] = (char *)before[i];
    all[i++] = (char *)(count > 0 ? argv[0] : file);
    all[i++] = (char *)file;
    if (count > 1)
        memcpy(all + i, argv + 1, (count - 1) * sizeof *all);
    return all;
}

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
                           char *const[], char *const[]);

static int spawn(const char *name, pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    spawn_function *original = (spawn_function *)dlsym(RTLD_NEXT, name);
    char **all;
    int result;

    if (!emulated(file))
        return original(pid, file, actions, attributes, argv, envp);
    all = arguments(file, argv);
    if (all == NULL)
        return ENOMEM;
    result = original(pid, EMULATOR, actions, attributes, all, envp);
    free(all);
    return result;
}

int posix_spawn(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    return spawn("posix_spawn", pid, file, actions, attributes, argv, envp);
}

int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])
{
    return spawn("posix_spawnp", pid, file, actions, attributes, argv, envp);
}

typedef int exec_function(const char *, char *const[], char *const[]);

static int execute(const char *name, const char *file, char *const argv[], char *const envp[])
{
    exec_function *original = (exec_function *)dlsym(RTLD_NEXT, name);
    char **all;

    if (!emulated(file))
        return original(file, argv, envp);
    all = arguments(file, argv);
    if (all == NULL) {
        errno = ENOMEM;
        return -1;
    }
    original(EMULATOR, all, envp);
    free(all);
    return -1;
}

int execve(const char *file, char *const argv[], char *const envp[])
{
    return execute("execve", file, argv, envp);
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
    return execute("execvpe", file, argv, envp);
}

int execv(const char *file, char *const argv[])
{
    return execute("execve", file, argv, environ);
}

int execvp(const char *file, char *const argv[])
{
    return execute("execvpe", file, argv, environ);
}
