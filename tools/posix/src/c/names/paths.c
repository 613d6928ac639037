/*
 * What is wrong with a path, for each call that takes one: a missing directory, a file for a directory, names and paths that are
 * too long, loops of symlinks, directories that may not be searched, memory that isn't there.
 */
#include "harness.h"

#include <limits.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

typedef long path_call(const char *path);

static char too_long_name[2048], too_long_path[PATH_MAX + 2];

/* `follows` says whether the call is for what a symlink names; `makes` whether it makes what the path names. */
static void check_paths(path_call *call, bool follows, bool makes)
{
	const char *volatile nowhere = (const char *)8;

	memset(too_long_name, 'n', longest_name() + 1);
	memset(too_long_path, 'x', PATH_MAX + 1);
	for (int at = 1; at < PATH_MAX; at += 2)
		too_long_path[at] = '/';
	make_file("file");
	make_dir("d");
	OK(symlink("loop", "loop"));
	OK(symlink("loop", "to-loop"));
	context("an empty path");
	FAILS(ENOENT, call(""));
	context("a missing directory");
	FAILS(ENOENT, call("missing/x"));
	FAILS(ENOENT, call("d/missing/x"));
	context("a file in a directory's place");
	FAILS(ENOTDIR, call("file/x"));
	FAILS(ENOTDIR, call("file/../x"));
	context("a name that is too long");
	FAILS(ENAMETOOLONG, call(too_long_name));
	context("a path that is too long");
	FAILS(ENAMETOOLONG, call(too_long_path));
	context("a loop");
	FAILS(ELOOP, call("loop/x"));
	FAILS(ELOOP, call("to-loop/x"));
	if (follows)
		FAILS(ELOOP, call("loop"));
	if (!makes) {
		context("a missing file");
		FAILS(ENOENT, call("d/missing"));
	}
	context("memory that isn't there");
	FAILS(EFAULT, call(nowhere));
	EQ(0, entries_of("d"));
	AS_ORDINARY {
		context("a directory that may not be searched");
		make_dir("closed");
		make_file("closed/x");
		OK(chmod("closed", 0600));
		FAILS(EACCES, call("closed/x"));
		FAILS(EACCES, call("closed/../x"));
		OK(chmod("closed", 0700));
	}
}

/* Defines a case for a call on `path`. */
#define PATH_CASE(name, follows, makes, call)               \
	static long call_##name(const char *path)           \
	{                                                   \
		return call;                                \
	}                                                   \
	CASE(name, #name " finds what is wrong with a path") \
	{                                                   \
		check_paths(call_##name, follows, makes);   \
	}

static struct stat status;
static char bytes[64];
static struct statfs space;

PATH_CASE(open, true, false, open(path, O_RDONLY))
PATH_CASE(open_creating, true, true, open(path, O_CREAT | O_WRONLY, 0644))
PATH_CASE(open_exclusive, false, true, open(path, O_CREAT | O_EXCL | O_WRONLY, 0644))
PATH_CASE(stat, true, false, stat(path, &status))
PATH_CASE(lstat, false, false, lstat(path, &status))
PATH_CASE(access, true, false, access(path, F_OK))
PATH_CASE(mkdir, false, true, mkdir(path, 0755))
PATH_CASE(mkfifo, false, true, mkfifo(path, 0644))
PATH_CASE(symlink, false, true, symlink("x", path))
PATH_CASE(readlink, false, false, readlink(path, bytes, sizeof bytes))
PATH_CASE(link_from, false, false, link(path, "new"))
PATH_CASE(link_to, false, true, link("file", path))
PATH_CASE(unlink, false, false, unlink(path))
PATH_CASE(rmdir, false, false, rmdir(path))
PATH_CASE(rename_from, false, false, rename(path, "new"))
PATH_CASE(rename_to, false, true, rename("file", path))
PATH_CASE(chmod, true, false, chmod(path, 0644))
PATH_CASE(chown, true, false, chown(path, geteuid(), getegid()))
PATH_CASE(lchown, false, false, lchown(path, geteuid(), getegid()))
PATH_CASE(truncate, true, false, truncate(path, 0))
PATH_CASE(utimensat, true, false, utimensat(AT_FDCWD, path, NULL, 0))
PATH_CASE(chdir, true, false, chdir(path))
PATH_CASE(statfs, true, false, statfs(path, &space))
PATH_CASE(getxattr, true, false, getxattr(path, "user.x", bytes, sizeof bytes))
PATH_CASE(setxattr, true, false, setxattr(path, "user.x", "1", 1, 0))
PATH_CASE(listxattr, true, false, listxattr(path, bytes, sizeof bytes))
