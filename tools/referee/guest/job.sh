# Runs every job below /job/jobs, in order, each with its own script, output, exit status and kernel log. The host has
# written `disks` (a name a line, in the order of the virtual disks) and, in each job's folder, `script`, `seconds` and
# perhaps files; jobs leave more files there. A job that powers the machine off has no `code`.
#
# A script finds: the disks as /disk/NAME, an empty directory $MNT, its own folder as working directory, on PATH the
# programs of the guest and of /job/bin. (In a guest without dash, say /bin/cp for the real one: busybox's shell prefers
# its own.)
shell=/bin/dash
[ -e "$shell" ] || shell=sh
export PATH=/job/bin:/bin
mkdir -p /disk /tmp
index=0
while read -r name; do
  letter=$(echo abcdefghijklmnopqrstuvwxyz | cut -c $((index + 1)))
  ln -s "/dev/vd$letter" "/disk/$name"
  index=$((index + 1))
done </job/disks
dmesg -c >/job/boot.dmesg
for job in /job/jobs/*/; do
  export MNT="/mnt/$(basename "$job")"
  mkdir -p "$MNT"
  cd "$job" || continue
  echo "vm: job $(basename "$job")"
  timeout -k 5 "$(cat seconds)" "$shell" script >output 2>&1 </dev/null
  echo $? >code.new
  cd /
  while grep -q " $MNT" /proc/mounts; do
    at=$(awk -v under="$MNT" 'index($2, under) == 1 { last = $2 } END { print last }' /proc/mounts)
    umount "$at" || umount -l "$at" || break
  done
  dmesg -c >"$job/dmesg"
  mv "$job/code.new" "$job/code"
done
