/* Which of atime, mtime and ctime a call changes. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

CASE(new_file, "a new file's times are all the time that it is; its directory has changed")
{
	struct watch directory = watch(".");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	make_file("f");
	SAME("mc", changed(&directory));

	struct stat status = stat_of("f");

	EQ(0, memcmp(&status.st_atim, &status.st_mtim, sizeof status.st_atim));
	EQ(0, memcmp(&status.st_mtim, &status.st_ctim, sizeof status.st_atim));
	CHECK(status.st_mtim.tv_sec >= now.tv_sec - 1 && status.st_mtim.tv_sec <= now.tv_sec + 60);
}

CASE(every_new_type, "whatever is made changes its directory's mtime and ctime")
{
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);

		struct watch directory = watch(".");

		make_of_type(type, type_names[type]);
		SAME("mc", changed(&directory));
	}
}

CASE(open, "opening a file changes nothing, with O_CREAT too when it is there")
{
	write_text("f", "contents");

	struct watch file = watch("f"), directory = watch(".");

	close(OK(open("f", O_RDWR)));
	close(OK(open("f", O_RDWR | O_CREAT, 0644)));
	close(OK(open(".", O_RDONLY)));
	SAME("", changed(&file));
	SAME("", changed(&directory));
}

CASE(open_truncating, "O_TRUNC changes mtime and ctime, and not the directory")
{
	write_text("f", "contents");

	struct watch file = watch("f"), directory = watch(".");

	close(OK(open("f", O_WRONLY | O_TRUNC)));
	SAME("mc", changed(&file));
	SAME("", changed(&directory));
	file = watch("f");
	close(OK(open("f", O_WRONLY | O_TRUNC)));
	SAME("mc", changed(&file));
}

CASE(write, "write and pwrite change mtime and ctime, at once, and not the directory")
{
	int fd = open_new("f");
	struct watch file = watch("f"), directory = watch(".");

	OK(write(fd, "abc", 3));
	SAME("mc", changed(&file));
	file = watch("f");
	OK(pwrite(fd, "abc", 3, 0));
	SAME("mc", changed(&file));
	SAME("", changed(&directory));
	file = watch("f");
	OK(fsync(fd));
	close(fd);
	SAME("", changed(&file));
}

CASE(read, "reading changes atime, at least the first time after a change (so with relatime)")
{
	need_without(ST_NOATIME, "noatime");
	write_text("f", "contents");

	int fd = OK(open("f", O_RDONLY));
	struct watch file = watch("f");

	OK(read(fd, (char[1]){0}, 1));
	SAME("a", changed(&file));
}

CASE(read_directory, "reading a directory changes its atime")
{
	need_without(ST_NOATIME | ST_NODIRATIME, "noatime or nodiratime");
	make_dir("d");
	make_file("d/f");

	struct watch directory = watch("d");

	EQ(1, entries_of("d"));
	SAME("a", changed(&directory));
}

CASE(read_symlink, "reading a symlink, or following it, changes its atime")
{
	need_without(ST_NOATIME, "noatime");
	make_file("f");
	OK(symlink("f", "s"));
	OK(symlink("f", "t"));

	struct watch read = watch("s"), followed = watch("t");

	OK(readlink("s", (char[8]){0}, 8));
	SAME("a", changed(&read));
	close(OK(open("t", O_RDONLY)));
	SAME("a", changed(&followed));
}

CASE(read_nothing, "reading at the end of a file, and asking about it, doesn't change mtime or ctime")
{
	struct stat status;

	write_text("f", "contents");

	int fd = OK(open("f", O_RDONLY));
	struct stat before = stat_of("f");

	tick();
	OK(pread(fd, (char[1]){0}, 1, 100));
	OK(lseek(fd, 0, SEEK_END));
	OK(stat("f", &status));
	OK(access("f", R_OK));

	struct stat after = stat_of("f");

	EQ(0, memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim));
	EQ(0, memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim));
}

CASE(truncate, "truncating to another size changes mtime and ctime")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 10000, 1);

	struct watch file = watch("f");

	OK(truncate("f", 5000));
	SAME("mc", changed(&file));
	file = watch("f");
	OK(ftruncate(fd, 20000));
	SAME("mc", changed(&file));
	file = watch("f");
	OK(ftruncate(fd, 20000));
	SAME("mc", changed(&file));
}

CASE(fallocate, "reserving space that lengthens a file, and punching a hole, change mtime and ctime")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 100000, 1);

	struct watch file = watch("f");

	OPTIONAL(fallocate(fd, 0, 0, 200000));
	SAME("mc", changed(&file));
	file = watch("f");
	OPTIONAL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 50000));
	SAME("mc", changed(&file));
}

CASE(copy_file_range, "copying changes the mtime and ctime of the file copied to")
{
	int from = open_new("f"), to = open_new("g");
	loff_t in = 0, out = 0;

	write_pattern(from, 0, 100, 1);

	struct watch target = watch("g");
	struct stat before = stat_of("f");

	OPTIONAL(copy_file_range(from, &in, to, &out, 100, 0));
	SAME("mc", changed(&target));

	struct stat after = stat_of("f");

	EQ(0, memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim));
	EQ(0, memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim));
}

CASE(mapped_write, "writing through a mapping changes mtime and ctime, by msync at the latest")
{
	int fd = open_new("f");

	write_pattern(fd, 0, 4096, 1);
	OK(fsync(fd));

	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(map != MAP_FAILED);

	struct watch file = watch("f");

	map[0] = 'x';
	OK(msync(map, 4096, MS_SYNC));

	const char *letters = changed(&file);

	CHECK(strstr(letters, "mc"));
}

CASE(chmod, "chmod changes ctime")
{
	make_file("f");

	struct watch file = watch("f"), directory = watch(".");

	OK(chmod("f", 0600));
	SAME("c", changed(&file));
	SAME("", changed(&directory));
}

CASE(chown, "chown changes ctime")
{
	make_file("f");

	struct watch file = watch("f");

	OK(chown("f", geteuid(), getegid()));
	SAME("c", changed(&file));
}

CASE(link, "link changes the file's ctime, and the directory that has the new name")
{
	make_dir("d");
	make_dir("e");
	make_file("d/f");

	struct watch file = watch("d/f"), old = watch("d"), new = watch("e");

	OK(link("d/f", "e/g"));
	SAME("c", changed(&file));
	SAME("", changed(&old));
	SAME("mc", changed(&new));
}

CASE(unlink, "unlink changes the directory, and the ctime of what has other names still, or is open")
{
	make_file("f");
	OK(link("f", "g"));

	struct watch file = watch("g"), directory = watch(".");

	OK(unlink("f"));
	SAME("c", changed(&file));
	SAME("mc", changed(&directory));

	int fd = OK(open("g", O_RDONLY));
	struct stat before = fstat_of(fd);

	tick();
	OK(unlink("g"));

	struct stat after = fstat_of(fd);

	CHECK(memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim));
	EQ(0, memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim));
}

CASE(rmdir, "rmdir changes the directory that it was in")
{
	make_dir("d");

	struct watch directory = watch(".");

	OK(rmdir("d"));
	SAME("mc", changed(&directory));
}

CASE(rename, "rename changes both directories, and the file's ctime (so on Linux)")
{
	make_dir("d");
	make_dir("e");
	write_text("d/f", "contents");

	struct watch old = watch("d"), new = watch("e"), above = watch(".");
	struct stat before = stat_of("d/f");

	OK(rename("d/f", "e/g"));

	struct stat after = stat_of("e/g");

	SAME("mc", changed(&old));
	SAME("mc", changed(&new));
	SAME("", changed(&above));
	EQ(0, memcmp(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim));
	EQ(0, memcmp(&before.st_atim, &after.st_atim, sizeof before.st_atim));
	CHECK(memcmp(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim));
}

CASE(rename_over, "what rename replaces has its ctime changed, if another name keeps it")
{
	make_file("f");
	make_file("g");
	OK(link("g", "h"));

	struct watch replaced = watch("h"), directory = watch(".");

	OK(rename("f", "g"));
	SAME("c", changed(&replaced));
	SAME("mc", changed(&directory));
}

CASE(rename_nothing, "renaming a file to what it is called already changes nothing")
{
	make_file("f");
	OK(link("f", "g"));

	struct watch file = watch("f"), directory = watch(".");

	OK(rename("f", "f"));
	OK(rename("f", "g"));
	SAME("", changed(&file));
	SAME("", changed(&directory));
}

CASE(attributes, "setting and removing an extended attribute changes ctime, reading it nothing")
{
	make_file("f");

	struct watch file = watch("f");

	OPTIONAL(setxattr("f", "user.name", "value", 5, 0));
	SAME("c", changed(&file));
	file = watch("f");
	OK(getxattr("f", "user.name", (char[8]){0}, 8));
	OK(listxattr("f", NULL, 0));
	SAME("", changed(&file));
	OK(removexattr("f", "user.name"));
	SAME("c", changed(&file));
}

CASE(failed, "a call that fails changes nothing")
{
	make_file("f");
	make_dir("d");
	make_file("d/x");

	struct watch file = watch("f"), directory = watch(".");

	FAILS(EEXIST, mkdir("f", 0755));
	FAILS(EEXIST, open("f", O_CREAT | O_EXCL | O_WRONLY, 0644));
	FAILS(EEXIST, symlink("x", "f"));
	FAILS(EEXIST, link("f", "d"));
	FAILS_EITHER(ENOTEMPTY, EEXIST, rmdir("d"));
	FAILS(ENOENT, unlink("missing"));
	FAILS(ENOENT, rename("missing", "f"));
	FAILS(EISDIR, rename("f", "d"));
	FAILS(EINVAL, truncate("f", -1));
	SAME("", changed(&file));
	SAME("", changed(&directory));
}

CASE(birth, "the time of birth, where there is one, is when the file was made, and stays")
{
	struct statx first, second;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	make_file("f");
	OK(statx(AT_FDCWD, "f", 0, STATX_BTIME, &first));
	if (!(first.stx_mask & STATX_BTIME))
		skip("there is no time of birth here");
	CHECK(first.stx_btime.tv_sec >= now.tv_sec - 1 && first.stx_btime.tv_sec <= now.tv_sec + 60);
	tick();
	write_text("f", "contents");
	OK(chmod("f", 0600));
	OK(utimensat(AT_FDCWD, "f", (struct timespec[]){{1, 1}, {2, 2}}, 0));
	OK(rename("f", "g"));
	OK(statx(AT_FDCWD, "g", 0, STATX_BTIME, &second));
	EQ(first.stx_btime.tv_sec, second.stx_btime.tv_sec);
	EQ(first.stx_btime.tv_nsec, second.stx_btime.tv_nsec);
}
