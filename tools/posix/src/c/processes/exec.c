/* execve(2) of what lies on the filesystem. The program is a copy of this one: see be_program(). */
#include "harness.h"

#include <sys/sendfile.h>
#include <sys/statvfs.h>

static void copy_program(const char *path)
{
	int from = OK(open("/proc/self/exe", O_RDONLY)), to = OK(open(path, O_CREAT | O_EXCL | O_WRONLY, 0755));
	long size = fstat_of(from).st_size;

	for (long done = 0; done < size;) {
		long sent = OK(sendfile(to, from, NULL, size - done));

		CHECK(sent > 0);
		done += sent;
	}
	OK(fsync(to));
	close(from);
	close(to);
}

/* Replaces this process; returns if that fails. */
static int execute(const char *path, const char *what)
{
	return execl(path, path, "program", what, NULL);
}

/* What a process that this one starts writes to its standard output, in `pipes`. */
static int uid_from(const int *pipes)
{
	char text[32] = "";

	CHECK(OK(read(pipes[0], text, sizeof text - 1)) > 0);
	return atoi(text);
}

CASE(runs, "a program copied here runs, and so does a script")
{
	int pipes[2];

	need_without(ST_NOEXEC, "noexec");
	copy_program("program");
	OK(pipe(pipes));
	CHILD {
		OK(dup2(pipes[1], STDOUT_FILENO));
		OK(execute("./program", "euid"));
	}
	EQ(geteuid(), uid_from(pipes));
	write_text("script", "#!/bin/sh\nexit 0\n");
	OK(chmod("script", 0755));
	if (access("/bin/sh", X_OK) == 0)
		CHILD {
			OK(execl("./script", "script", NULL));
		}
}

CASE(permission, "a program needs permission to be executed, not to be read")
{
	int pipes[2];

	need_without(ST_NOEXEC, "noexec");
	copy_program("program");
	AS_ORDINARY {
		make_file_mode("none", 0666);
		FAILS(EACCES, execute("./none", "euid"));
		FAILS(EACCES, execute(".", "euid"));
		FAILS(ENOENT, execute("./missing", "euid"));
		FAILS(ENOTDIR, execute("./none/x", "euid"));
		make_file_mode("empty", 0755);
		FAILS(ENOEXEC, execute("./empty", "euid"));
	}
	if (!users_enter)
		return;
	OK(chmod("program", 0711));
	OK(pipe(pipes));
	AS(BOB) {
		FAILS(EACCES, open("program", O_RDONLY));
		OK(dup2(pipes[1], STDOUT_FILENO));
		OK(execute("./program", "euid"));
	}
	EQ(BOB.uid, uid_from(pipes));
}

CASE(busy, "a program that runs can't be written, and one that is open for writing can't be run")
{
	int in[2], out[2];

	need_without(ST_NOEXEC, "noexec");
	copy_program("program");

	int writing = OK(open("program", O_WRONLY));

	FAILS(ETXTBSY, execute("./program", "wait"));
	close(writing);
	OK(pipe2(in, O_CLOEXEC));
	OK(pipe2(out, O_CLOEXEC));
	BESIDE {
		OK(dup2(in[0], STDIN_FILENO));
		OK(dup2(out[1], STDOUT_FILENO));
		OK(execute("./program", "wait"));
	}
	EQ(geteuid(), uid_from(out)); /* it runs */
	FAILS(ETXTBSY, open("program", O_WRONLY));
	FAILS(ETXTBSY, truncate("program", 0));
	close(OK(open("program", O_RDONLY)));
	OK(rename("program", "renamed"));
	OK(unlink("renamed"));
	close(in[1]);
}

CASE(setuid, "a setuid program runs as its owner, unless the mount has nosuid")
{
	int pipes[2];

	need_users();
	need_without(ST_NOEXEC, "noexec");
	need_without(ST_NOSUID, "nosuid");
	copy_program("program");
	OK(chown("program", ALICE.uid, ALICE.gid));
	OK(chmod("program", 04755));
	OK(pipe(pipes));
	AS(BOB) {
		OK(dup2(pipes[1], STDOUT_FILENO));
		OK(execute("./program", "euid"));
	}
	EQ(ALICE.uid, uid_from(pipes));
}
