/* open(2): what its flags do, and what it refuses. */
#include "harness.h"

#include <sys/socket.h>

CASE(creates, "O_CREAT makes an empty file with the mode asked for, owned by who asks")
{
	int fd = OK(open("f", O_CREAT | O_WRONLY, 0640));
	struct stat status = fstat_of(fd);

	MODE(S_IFREG | 0640, status.st_mode);
	EQ(geteuid(), status.st_uid);
	EQ(getegid(), status.st_gid);
	EQ(0, status.st_size);
	EQ(0, status.st_blocks);
	EQ(1, status.st_nlink);
	EQ(inode_of("f"), status.st_ino);
}

CASE(umask, "the umask takes bits away from a new file's mode")
{
	umask(027);
	make_file_mode("f", 0777);
	MODE(0750, mode_of("f"));
	umask(0777);
	make_file_mode("none", 0777);
	MODE(0, mode_of("none"));
}

CASE(special_bits, "a file can be made with the bits for setuid and setgid")
{
	make_file_mode("f", 06755);
	MODE(06755, mode_of("f"));
}

CASE(mode_is_for_new_files, "the mode is only for a file that O_CREAT makes")
{
	make_file_mode("f", 0600);
	close(OK(open("f", O_CREAT | O_RDWR, 0777)));
	MODE(0600, mode_of("f"));
}

CASE(mode_is_for_later, "who makes a file may write to it even if its mode lets nobody")
{
	AS_ORDINARY {
		int fd = OK(open("f", O_CREAT | O_RDWR, 0));

		EQ(3, OK(write(fd, "abc", 3)));
		FAILS(EACCES, open("f", O_RDONLY));
		FAILS(EACCES, open("f", O_CREAT | O_RDWR, 0644));
	}
}

CASE(missing, "without O_CREAT a missing file is ENOENT")
{
	FAILS(ENOENT, open("f", O_RDONLY));
	FAILS(ENOENT, open("f", O_RDWR | O_TRUNC));
	FAILS(ENOENT, open("", O_RDONLY));
	FAILS(ENOENT, open("", O_CREAT | O_WRONLY, 0644));
}

CASE(exclusive, "O_CREAT with O_EXCL is EEXIST for whatever is there, a symlink to nowhere too")
{
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EEXIST, open(type_names[type], O_CREAT | O_EXCL | O_WRONLY, 0644));
		FAILS(EEXIST, open(type_names[type], O_CREAT | O_EXCL | O_RDONLY | O_NOFOLLOW, 0644));
	}
	CHECK(!exists("nowhere"));
	close(OK(open("new", O_CREAT | O_EXCL | O_WRONLY, 0644)));
}

CASE(exclusive_after_lookup, "a name that was looked for and not found can be made, and once only")
{
	CHECK(!exists("f"));
	FAILS(ENOENT, open("f", O_RDONLY));
	make_file("f");
	FAILS(EEXIST, open("f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	OK(unlink("f"));
	make_file("f");
}

CASE(creates_through_symlink, "O_CREAT makes what a symlink to nowhere names, except with O_NOFOLLOW")
{
	OK(symlink("nowhere", "s"));
	FAILS(ELOOP, open("s", O_CREAT | O_WRONLY | O_NOFOLLOW, 0644));
	CHECK(!exists("nowhere"));
	close(OK(open("s", O_CREAT | O_WRONLY, 0644)));
	EQ(S_IFREG, type_of("nowhere"));
	EQ(S_IFLNK, type_of("s"));
}

CASE(directory_for_writing, "a directory can't be opened for writing, nor made by O_CREAT")
{
	make_dir("d");
	FAILS(EISDIR, open("d", O_WRONLY));
	FAILS(EISDIR, open("d", O_RDWR));
	FAILS(EISDIR, open("d", O_RDONLY | O_TRUNC));
	FAILS(EISDIR, open("d", O_CREAT | O_RDONLY, 0644));
	FAILS(EISDIR, open("d/", O_CREAT | O_WRONLY, 0644));
	FAILS(EISDIR, open("new/", O_CREAT | O_WRONLY, 0644));
	FAILS(EISDIR, open(".", O_CREAT | O_WRONLY, 0644));
	close(OK(open("d", O_RDONLY)));
}

CASE(truncates, "O_TRUNC empties a file and leaves the rest as it was")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);
	OK(fsync(fd));
	OK(chmod("f", 0604));

	long inode = inode_of("f");

	close(OK(open("f", O_WRONLY | O_TRUNC)));
	EQ(0, size_of("f"));
	EQ(0, stat_of("f").st_blocks);
	MODE(0604, mode_of("f"));
	EQ(inode, inode_of("f"));
	EQ(0, OK(pread(fd, (char[1]){0}, 1, 0)));
	write_pattern(fd, 5000, 10, 2);
	expect_zeros(fd, 0, 5000);
}

CASE(truncates_through_symlink, "O_TRUNC follows a symlink")
{
	write_text("f", "contents");
	OK(symlink("f", "s"));
	close(OK(open("s", O_WRONLY | O_TRUNC | O_CREAT, 0644)));
	EQ(0, size_of("f"));
	EQ(1, size_of("s"));
}

CASE(truncation_refused, "who may not write to a file can't empty it")
{
	AS_ORDINARY {
		write_text("f", "contents");
		OK(chmod("f", 0444));
		FAILS(EACCES, open("f", O_WRONLY | O_TRUNC));
		FAILS(EACCES, open("f", O_RDONLY | O_TRUNC));
		SAME("contents", text_of("f"));
	}
}

CASE(append, "each write with O_APPEND goes to the end, wherever the offset is")
{
	write_text("f", "one ");

	int end = OK(open("f", O_WRONLY | O_APPEND)), other = OK(open("f", O_WRONLY | O_APPEND));

	OK(write(end, "two ", 4));
	OK(write(other, "three ", 6));
	OK(lseek(end, 0, SEEK_SET));
	OK(write(end, "four", 4));
	EQ(18, OK(lseek(end, 0, SEEK_CUR)));
	SAME("one two three four", text_of("f"));
}

CASE(append_and_pwrite, "pwrite to a file open with O_APPEND appends (so on Linux)")
{
	write_text("f", "one ");

	int fd = OK(open("f", O_WRONLY | O_APPEND));

	OK(pwrite(fd, "two", 3, 0));
	SAME("one two", text_of("f"));
	EQ(0, OK(lseek(fd, 0, SEEK_CUR)));
}

CASE(append_by_fcntl, "O_APPEND can be set and taken back on an open file")
{
	int fd = open_new("f");

	OK(write(fd, "abcd", 4));
	OK(fcntl(fd, F_SETFL, O_APPEND));
	OK(lseek(fd, 0, SEEK_SET));
	OK(write(fd, "ef", 2));
	OK(fcntl(fd, F_SETFL, 0));
	OK(lseek(fd, 1, SEEK_SET));
	OK(write(fd, "X", 1));
	SAME("aXcdef", text_of("f"));
}

CASE(append_after_truncate, "what is appended after a truncation goes to the new end")
{
	write_text("f", "0123456789");

	int fd = OK(open("f", O_WRONLY | O_APPEND));

	OK(truncate("f", 4));
	OK(write(fd, "x", 1));
	SAME("0123x", text_of("f"));
}

CASE(only_directory, "O_DIRECTORY is ENOTDIR for anything else")
{
	for (int type = 0; type < types_here(); type++) {
		if (type == DIRECTORY || type == SYMLINK)
			continue;
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(ENOTDIR, open(type_names[type], O_RDONLY | O_DIRECTORY));
	}
	no_context();
	make_dir("d");
	OK(symlink("d", "s"));
	OK(symlink("file", "t"));
	close(OK(open("d", O_RDONLY | O_DIRECTORY)));
	close(OK(open("s", O_RDONLY | O_DIRECTORY)));
	FAILS(ENOTDIR, open("t", O_RDONLY | O_DIRECTORY));
	FAILS(ENOTDIR, open("s", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
	FAILS(ENOENT, open("missing", O_RDONLY | O_DIRECTORY));
}

CASE(no_follow, "O_NOFOLLOW is ELOOP for a symlink at the end of the path, not in its middle")
{
	make_dir("d");
	make_file("d/f");
	OK(symlink("d/f", "s"));
	OK(symlink("d", "t"));
	FAILS(ELOOP, open("s", O_RDONLY | O_NOFOLLOW));
	FAILS(ELOOP, open("t", O_RDONLY | O_NOFOLLOW));
	close(OK(open("t/f", O_RDONLY | O_NOFOLLOW)));
	close(OK(open("t/", O_RDONLY | O_NOFOLLOW)));
	close(OK(open("d/f", O_RDONLY | O_NOFOLLOW)));
}

CASE(path_only, "O_PATH names a file without opening it, with O_NOFOLLOW also a symlink")
{
	char target[8] = "";

	write_text("f", "contents");
	OK(symlink("f", "s"));

	int fd = OK(open("f", O_PATH)), link = OK(open("s", O_PATH | O_NOFOLLOW));

	FAILS(EBADF, read(fd, target, 1));
	FAILS(EBADF, fchmod(fd, 0600));
	EQ(inode_of("f"), fstat_of(fd).st_ino);
	EQ(S_IFLNK, fstat_of(link).st_mode & S_IFMT);
	EQ(1, OK(readlinkat(link, "", target, sizeof target)));
	SAME("f", target);
}

CASE(path_only_without_permission, "O_PATH needs no permission for the file itself")
{
	AS_ORDINARY {
		make_file_mode("f", 0);
		FAILS(EACCES, open("f", O_RDONLY));
		close(OK(open("f", O_PATH)));
	}
}

CASE(access_modes, "what was opened for reading can't be written, and the other way round")
{
	char byte = 'x';

	write_text("f", "contents");

	int reading = OK(open("f", O_RDONLY)), writing = OK(open("f", O_WRONLY));

	FAILS(EBADF, write(reading, &byte, 1));
	FAILS(EBADF, pwrite(reading, &byte, 1, 0));
	FAILS(EBADF, read(writing, &byte, 1));
	FAILS(EBADF, pread(writing, &byte, 1, 0));
}

CASE(offsets, "each open has an offset of its own; a duplicate and a child share it")
{
	char text[3] = "";

	write_text("f", "abcdef");

	int first = OK(open("f", O_RDONLY)), second = OK(open("f", O_RDONLY)), copy = OK(dup(first));

	OK(read(first, text, 2));
	SAME("ab", text);
	OK(read(second, text, 2));
	SAME("ab", text);
	OK(read(copy, text, 2));
	SAME("cd", text);
	CHILD {
		OK(read(first, text, 1));
	}
	EQ(5, OK(lseek(copy, 0, SEEK_CUR)));
}

CASE(relative_to_directory, "openat starts at a directory, also when that has been renamed")
{
	make_dir("d");

	int directory = OK(open("d", O_RDONLY | O_DIRECTORY));

	close(OK(openat(directory, "f", O_CREAT | O_WRONLY, 0644)));
	CHECK(exists("d/f"));
	OK(rename("d", "e"));
	close(OK(openat(directory, "g", O_CREAT | O_WRONLY, 0644)));
	CHECK(exists("e/g"));

	int file = OK(open("e/f", O_RDONLY));

	FAILS(ENOTDIR, openat(file, "g", O_RDONLY));
	FAILS(EBADF, openat(1000, "g", O_RDONLY));
}

CASE(in_removed_directory, "nothing can be made in a directory that was removed")
{
	make_dir("d");

	int directory = OK(open("d", O_RDONLY | O_DIRECTORY));

	OK(rmdir("d"));
	FAILS(ENOENT, openat(directory, "f", O_CREAT | O_WRONLY, 0644));
	FAILS(ENOENT, mkdirat(directory, "f", 0755));
	FAILS(ENOENT, symlinkat("x", directory, "f"));
	FAILS(ENOENT, openat(directory, "f", O_RDONLY));
}

CASE(no_atime, "only a file's owner may open it with O_NOATIME")
{
	need_users();
	write_text("f", "contents");
	OK(chmod("f", 0666));
	AS(ALICE) {
		FAILS(EPERM, open("f", O_RDONLY | O_NOATIME));
	}
	OK(chown("f", ALICE.uid, ALICE.gid));
	AS(ALICE) {
		close(OK(open("f", O_RDONLY | O_NOATIME)));
	}
}

CASE(no_atime_keeps_atime, "reading with O_NOATIME leaves atime alone")
{
	write_text("f", "contents");

	int fd = OK(open("f", O_RDONLY | O_NOATIME));
	struct watch file = watch("f");

	OK(read(fd, (char[4]){0}, 4));
	SAME("", changed(&file));
}

CASE(unlinked_by_proc, "/proc/self/fd opens a file that has no name any more")
{
	char path[64], text[9] = "";

	write_text("f", "contents");

	int fd = OK(open("f", O_RDONLY));

	OK(unlink("f"));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);

	int again = OK(open(path, O_RDWR));

	EQ(8, OK(read(again, text, 8)));
	SAME("contents", text);
	OK(pwrite(again, "C", 1, 0));
	OK(pread(fd, text, 1, 0));
	SAME("Contents", text);
}

CASE(special_files, "a socket can't be opened; a FIFO without readers not for writing at once")
{
	make_of_type(SOCKET, "socket");
	make_of_type(FIFO, "fifo");
	FAILS(ENXIO, open("socket", O_RDONLY));
	FAILS(ENXIO, open("fifo", O_WRONLY | O_NONBLOCK));
	close(OK(open("fifo", O_RDONLY | O_NONBLOCK)));
}

CASE(synchronous, "O_SYNC and O_DSYNC write like others")
{
	int sync = OK(open("f", O_CREAT | O_RDWR | O_SYNC, 0644)), data = OK(open("f", O_RDWR | O_DSYNC));

	write_pattern(sync, 0, 10000, 1);
	write_pattern(data, 5000, 100, 2);
	expect_pattern(sync, 0, 5000, 1);
	expect_pattern(sync, 5000, 100, 2);
	expect_pattern(sync, 5100, 4900, 1);
}

CASE(many_at_once, "300 files can be open at once, each with its own contents")
{
	int fds[300];
	char name[16];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%d", i);
		fds[i] = open_new(name);
		write_pattern(fds[i], 0, 100 + i, i);
	}
	for (int i = 0; i < 300; i++)
		expect_pattern(fds[i], 0, 100 + i, i);
}
