/* The bits for setuid and setgid: who loses them when. */
#include "harness.h"

#include <sys/mman.h>
#include <sys/statvfs.h>

/* A file of ALICE's, 64 KiB, that everybody may write. */
static void make_program(mode_t mode)
{
	int fd = open_new("f");

	write_pattern(fd, 0, 64 * KIB, 1);
	close(fd);
	OK(chown("f", ALICE.uid, ALICE.gid));
	OK(chmod("f", mode));
}

CASE(chown_clears, "a new owner or group clears both bits of a file")
{
	need_root();
	make_program(06755);
	OK(chown("f", BOB.uid, -1));
	MODE(0755, mode_of("f"));
	OK(chmod("f", 06711));
	OK(chown("f", -1, BOB.gid));
	MODE(0711, mode_of("f"));
}

CASE(chown_by_owner_clears, "also when it is the owner who gives it to another of his groups")
{
	need_users();
	make_program(0);
	OK(chown("f", CAROL.uid, CAROL.gid));
	OK(chmod("f", 06755));
	AS(CAROL) {
		OK(chown("f", -1, ALICE.gid));
	}
	MODE(0755, mode_of("f"));
}

CASE(chown_keeps_directories, "directories keep them")
{
	need_root();
	make_dir("d");
	OK(chmod("d", 06755));
	OK(chown("d", ALICE.uid, ALICE.gid));
	MODE(06755, mode_of("d"));
}

CASE(chown_keeps_locking, "setgid without the group's right to execute stays when root changes the owner")
{
	need_root();
	make_program(02644);
	OK(chown("f", BOB.uid, BOB.gid));
	MODE(02644, mode_of("f"));
}

CASE(write_clears, "who isn't root and writes to a file clears both bits")
{
	need_users();
	make_program(06777);
	AS(BOB) {
		int fd = OK(open("f", O_WRONLY));

		MODE(06777, mode_of("f"));
		OK(write(fd, "x", 1));
		MODE(0777, mode_of("f"));
	}
	OK(chmod("f", 06777));
	AS(ALICE) {
		int fd = OK(open("f", O_WRONLY | O_APPEND));

		OK(write(fd, "x", 1));
	}
	MODE(0777, mode_of("f"));
}

CASE(write_by_root_keeps, "root may write and truncate, and the bits stay")
{
	need_root();
	make_program(06777);

	int fd = OK(open("f", O_WRONLY));

	OK(write(fd, "x", 1));
	MODE(06777, mode_of("f"));
	OK(ftruncate(fd, 100));
	MODE(06777, mode_of("f"));
}

CASE(write_by_open_file, "it is who writes that counts, not who has opened the file")
{
	need_users();
	make_program(06777);

	int fd = OK(open("f", O_WRONLY));

	AS(BOB) {
		OK(pwrite(fd, "x", 1, 100));
	}
	MODE(0777, mode_of("f"));
}

CASE(truncate_clears, "who isn't root and truncates a file clears both bits")
{
	need_users();
	make_program(06777);
	AS(BOB) {
		OK(truncate("f", 100));
	}
	MODE(0777, mode_of("f"));
	OK(chmod("f", 06777));
	AS(BOB) {
		close(OK(open("f", O_WRONLY | O_TRUNC)));
	}
	MODE(0777, mode_of("f"));
	OK(chmod("f", 06777));
	AS(BOB) {
		int fd = OK(open("f", O_WRONLY));

		OK(ftruncate(fd, 1000));
	}
	MODE(0777, mode_of("f"));
}

CASE(fallocate_clears, "who isn't root and reserves space or punches holes clears both bits")
{
	need_users();
	make_program(06777);
	AS(BOB) {
		int fd = OK(open("f", O_RDWR));

		OPTIONAL(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 8192));
	}
	MODE(0777, mode_of("f"));
	OK(chmod("f", 06777));
	AS(BOB) {
		int fd = OK(open("f", O_RDWR));

		OPTIONAL(fallocate(fd, 0, 0, 128 * KIB));
	}
	MODE(0777, mode_of("f"));
}

CASE(copy_clears, "who isn't root and copies to a file clears both bits")
{
	need_users();
	make_program(06777);
	AS(BOB) {
		int fd = OK(open("f", O_RDWR));
		loff_t in = 0, out = 32 * KIB;

		OPTIONAL(copy_file_range(fd, &in, fd, &out, 4096, 0));
	}
	MODE(0777, mode_of("f"));
}

CASE(only_setgid_for_running, "setgid without the group's right to execute stays for members of the group")
{
	need_users();
	make_program(02666);
	AS(ALICE) {
		int fd = OK(open("f", O_WRONLY));

		OK(write(fd, "x", 1));
	}
	MODE(02666, mode_of("f"));
}

CASE(other_changes_keep, "reading, linking, renaming and new times leave the bits")
{
	need_users();
	make_program(06777);
	OK(chmod(".", 0777));
	AS(ALICE) {
		int fd = OK(open("f", O_RDWR));

		OK(read(fd, (char[1]){0}, 1));
		OK(write(fd, "", 0));
		OK(link("f", "g"));
		OK(rename("g", "h"));
		OK(futimens(fd, NULL));
		OK(fsync(fd));
	}
	MODE(06777, mode_of("f"));
}

CASE(foreign_group_directory, "who isn't in a setgid directory's group can't make setgid files there")
{
	need_users();
	make_dir("d");
	OK(chown("d", ALICE.uid, BOB.gid));
	OK(chmod("d", 02777));
	AS(ALICE) {
		close(OK(open("d/f", O_CREAT | O_WRONLY, 02755)));
		close(OK(open("d/u", O_CREAT | O_WRONLY, 04755)));
		OK(mknod("d/p", S_IFIFO | 02755, 0));
	}
	EQ(BOB.gid, stat_of("d/f").st_gid);
	MODE(0755, mode_of("d/f"));
	MODE(04755, mode_of("d/u"));
	MODE(0755, mode_of("d/p"));
	AS(BOB) {
		close(OK(open("d/g", O_CREAT | O_WRONLY, 02755)));
	}
	MODE(02755, mode_of("d/g"));
}
