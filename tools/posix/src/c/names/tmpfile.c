/* O_TMPFILE: files without a name, which may be given one. */
#include "harness.h"

static int open_unnamed(int flags, mode_t mode)
{
	/* Filesystems without it, of which FUSE servers are some, take it for opening a directory. */
	return OPTIONAL_OR(EISDIR, open(".", O_TMPFILE | flags, mode));
}

static const char *by_proc(int fd)
{
	static char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return path;
}

CASE(has_no_name, "a file without a name has no links, and its directory stays empty")
{
	int fd = open_unnamed(O_RDWR, 0640);
	struct stat status = fstat_of(fd);

	EQ(0, status.st_nlink);
	MODE(S_IFREG | 0640, status.st_mode);
	EQ(geteuid(), status.st_uid);
	EQ(0, entries_of("."));
	write_pattern(fd, 0, 100000, 1);
	drop_pages(fd);
	expect_pattern(fd, 0, 100000, 1);
	EQ(100000, fstat_of(fd).st_size);
}

CASE(gets_a_name, "linkat gives it a name, with what was written to it")
{
	int fd = open_unnamed(O_RDWR, 0644);

	OK(write(fd, "contents", 8));
	OK(linkat(AT_FDCWD, by_proc(fd), AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	EQ(1, links_of("f"));
	EQ(fstat_of(fd).st_ino, inode_of("f"));
	SAME("contents", text_of("f"));
	OK(link("f", "g"));
	EQ(2, links_of("f"));
	OK(unlink("f"));
	OK(unlink("g"));
	EQ(0, fstat_of(fd).st_nlink);
}

CASE(name_is_taken, "linkat doesn't replace what is there")
{
	int fd = open_unnamed(O_RDWR, 0644);

	make_file("f");
	FAILS(EEXIST, linkat(AT_FDCWD, by_proc(fd), AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	EQ(0, fstat_of(fd).st_nlink);
}

CASE(never_named, "with O_EXCL it can't get a name")
{
	int fd = open_unnamed(O_RDWR | O_EXCL, 0644);

	FAILS(ENOENT, linkat(AT_FDCWD, by_proc(fd), AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
}

CASE(umask, "the umask takes bits away from its mode")
{
	umask(027);

	int fd = open_unnamed(O_RDWR, 0777);

	MODE(0750, fstat_of(fd).st_mode & 07777);
}

CASE(refusals, "it must be open for writing, in a directory in which one may write")
{
	close(open_unnamed(O_WRONLY, 0644));
	make_file("f");
	FAILS(EINVAL, open(".", O_TMPFILE | O_RDONLY, 0644));
	FAILS(ENOTDIR, open("f", O_TMPFILE | O_RDWR, 0644));
	FAILS(ENOENT, open("missing", O_TMPFILE | O_RDWR, 0644));
	AS_ORDINARY {
		make_dir_mode("d", 0555);
		FAILS(EACCES, open("d", O_TMPFILE | O_RDWR, 0644));
	}
}

CASE(many, "a hundred of them come and go, and a removed directory doesn't take them along")
{
	int fds[100];

	make_dir("d");
	OPTIONAL_OR(EISDIR, open("d", O_TMPFILE | O_RDWR, 0644));
	for (int i = 0; i < 100; i++) {
		fds[i] = OK(open("d", O_TMPFILE | O_RDWR, 0644));
		write_pattern(fds[i], 0, 5000, i);
	}
	OK(rmdir("d"));
	for (int i = 0; i < 100; i++)
		expect_pattern(fds[i], 0, 5000, i);
}
