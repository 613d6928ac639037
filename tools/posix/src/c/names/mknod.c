/* mknod(2), mkfifo(3) and bind(2): FIFOs, sockets, devices. */
#include "harness.h"

#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

CASE(regular_file, "mknod makes regular files, also when no type is given")
{
	OK(mknod("f", S_IFREG | 0640, 0));
	MODE(S_IFREG | 0640, stat_of("f").st_mode);
	EQ(0, size_of("f"));
	OK(mknod("g", 0600, 0));
	MODE(S_IFREG | 0600, stat_of("g").st_mode);
	write_text("g", "contents");
	SAME("contents", text_of("g"));
}

CASE(fifo, "mkfifo makes a FIFO with the mode asked for, less the umask")
{
	umask(022);
	OK(mkfifo("p", 0666));

	struct stat status = stat_of("p");

	MODE(S_IFIFO | 0644, status.st_mode);
	EQ(0, status.st_size);
	EQ(1, status.st_nlink);
	EQ(geteuid(), status.st_uid);
}

CASE(fifo_carries, "what one process writes to a FIFO another reads, also by another of its names")
{
	char text[9] = "";

	OK(mkfifo("p", 0644));
	OK(link("p", "q"));
	BESIDE {
		int fd = OK(open("q", O_WRONLY));

		EQ(8, OK(write(fd, "contents", 8)));
	}

	int fd = OK(open("p", O_RDONLY));

	EQ(8, OK(read(fd, text, 8)));
	SAME("contents", text);
	EQ(0, OK(read(fd, text, 8)));
	EQ(0, size_of("p"));
}

CASE(fifo_refusals, "a FIFO can't be sought, truncated or synchronised")
{
	OK(mkfifo("p", 0644));

	int fd = OK(open("p", O_RDWR));

	FAILS(ESPIPE, lseek(fd, 0, SEEK_SET));
	FAILS(ESPIPE, pread(fd, (char[1]){0}, 1, 0));
	FAILS(EINVAL, ftruncate(fd, 0));
	FAILS(EINVAL, truncate("p", 0));
	FAILS(EINVAL, fsync(fd));
	FAILS(EEXIST, mkfifo("p", 0644));
}

CASE(existing, "mknod is EEXIST for whatever is there, a symlink to nowhere too")
{
	for (int type = 0; type < types_here(); type++) {
		context("%s", type_names[type]);
		make_of_type(type, type_names[type]);
		FAILS(EEXIST, mknod(type_names[type], S_IFREG | 0644, 0));
		FAILS(EEXIST, mknod(type_names[type], S_IFIFO | 0644, 0));
	}
	CHECK(!exists("nowhere"));
	no_context();
	FAILS(ENOENT, mknod("f/", S_IFIFO | 0644, 0));
}

CASE(wrong_types, "mknod makes no directories and no symlinks")
{
	FAILS(EPERM, mknod("d", S_IFDIR | 0755, 0));
	FAILS(EINVAL, mknod("s", S_IFLNK | 0777, 0));
	EQ(0, entries_of("."));
}

static int socket_at(const char *path, int (*call)(int, const struct sockaddr *, socklen_t))
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	return call(fd, (struct sockaddr *)&address, sizeof address) ? -1 : fd;
}

CASE(socket_file, "bind makes a socket, which can be connected to by any of its names until it is unlinked")
{
	char text[9] = "";

	umask(022);

	int server = OK(socket_at("socket", bind));

	MODE(S_IFSOCK | 0755, stat_of("socket").st_mode);
	FAILS(EADDRINUSE, socket_at("socket", bind));
	OK(listen(server, 5));
	OK(link("socket", "other"));
	OK(rename("socket", "renamed"));
	FAILS(ENOENT, socket_at("socket", connect));

	int client = OK(socket_at("other", connect)), third = OK(socket_at("renamed", connect));
	int accepted = OK(accept(server, NULL, NULL));

	OK(write(client, "contents", 8));
	EQ(8, OK(read(accepted, text, 8)));
	SAME("contents", text);
	close(third);
	OK(unlink("renamed"));
	OK(unlink("other"));
	FAILS(ENOENT, socket_at("other", connect));
}

CASE(socket_by_mknod, "mknod makes a socket that nobody listens to")
{
	OK(mknod("socket", S_IFSOCK | 0644, 0));
	MODE(S_IFSOCK | 0644, stat_of("socket").st_mode);
	FAILS(ECONNREFUSED, socket_at("socket", connect));
	FAILS(ENXIO, open("socket", O_RDWR));
}

CASE(devices, "root makes devices, whose numbers are kept in full")
{
	static const struct {
		unsigned major, minor;
	} numbers[] = {{1, 3}, {8, 0}, {255, 255}, {256, 256}, {4095, 0xfffff}, {0xfff, 0x12345}};
	char name[32];

	need_root();
	for (int i = 0; i < ARRAY_LENGTH(numbers); i++) {
		dev_t device = makedev(numbers[i].major, numbers[i].minor);

		context("%u:%u", numbers[i].major, numbers[i].minor);
		snprintf(name, sizeof name, "char%d", i);
		OK(mknod(name, S_IFCHR | 0600, device));
		MODE(S_IFCHR | 0600, stat_of(name).st_mode);
		EQ(device, stat_of(name).st_rdev);
		snprintf(name, sizeof name, "block%d", i);
		OK(mknod(name, S_IFBLK | 0640, device));
		MODE(S_IFBLK | 0640, stat_of(name).st_mode);
		EQ(device, stat_of(name).st_rdev);
	}
}

CASE(device_works, "a device can be used, unless the mount has nodev")
{
	need_root();
	OK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
	OK(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
	need_without(ST_NODEV, "nodev");

	int null = OK(open("null", O_RDWR | O_TRUNC)), zero = OK(open("zero", O_RDONLY));
	char bytes[4] = "abc";

	EQ(3, OK(write(null, "abc", 3)));
	EQ(0, OK(read(null, bytes, 3)));
	EQ(4, OK(read(zero, bytes, 4)));
	ZEROS(bytes, 4);
}

CASE(device_by_user, "only root makes devices; everybody FIFOs and sockets")
{
	need_users();
	OK(chmod(".", 0777));
	AS(ALICE) {
		FAILS(EPERM, mknod("char", S_IFCHR | 0644, makedev(1, 3)));
		FAILS(EPERM, mknod("block", S_IFBLK | 0644, makedev(7, 0)));
		OK(mknod("fifo", S_IFIFO | 0644, 0));
		OK(mknod("socket", S_IFSOCK | 0644, 0));
		EQ(ALICE.uid, stat_of("fifo").st_uid);
	}
}

CASE(as_files, "special files can be linked, renamed, changed and removed as others")
{
	char other[32];

	for (int type = FIFO; type < types_here(); type++) {
		const char *name = type_names[type];

		context("%s", name);
		make_of_type(type, name);

		struct stat before = stat_of(name);

		snprintf(other, sizeof other, "%s2", name);
		OK(link(name, other));
		EQ(2, links_of(name));
		OK(rename(name, "renamed"));
		EQ(before.st_ino, inode_of("renamed"));
		OK(chmod("renamed", 0604));
		MODE((before.st_mode & S_IFMT) | 0604, stat_of(other).st_mode);
		EQ(before.st_rdev, stat_of(other).st_rdev);
		OK(unlink("renamed"));
		OK(unlink(other));
		CHECK(!exists(other));
	}
}
