#!/bin/busybox sh
# First process of the guest: loads the drivers, mounts the job directory that the host shares, runs /job/job.sh, and
# turns the machine off. What it prints that starts with 'vm: ' is for the host.
for name in $(/bin/busybox --list); do [ -e "/bin/$name" ] || /bin/busybox ln -s busybox "/bin/$name"; done
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod "$module" 2>/dev/null || echo "vm: no $module"; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 job /job || echo "vm: no job directory"
echo "vm: linux $(uname -r)"
sh /job/job.sh
echo "vm: job rc=$?"
sync
poweroff -f
