# Becomes the first process of a machine: systemd on a Debian, with processes, mounts, network and control groups of its
# own. What it writes is in memory, and goes with it.
#
# $1: the files of the machine, which stay as they are. $2: a directory, where the process id goes to, and mounts.

set -eu
files=$1
directory=$2

if [ "${3:-}" = "" ]; then
    # A control group for the machine, so that it sees no other, and its processes are found.
    group=$(basename "$directory")
    for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/systemd; do
        if [ -w "$hierarchy/cgroup.procs" ]; then
            mkdir "$hierarchy/$group"
            echo $$ >"$hierarchy/$group/cgroup.procs"
        fi
    done
    exec unshare --pid --mount --uts --ipc --net --cgroup --fork --kill-child --propagation private \
        sh "$0" "$files" "$directory" within
fi

# As the processes outside see it: /proc is theirs yet.
read -r process _ </proc/self/stat

mount -t tmpfs -o mode=0755 tmpfs "$directory/memory"
cd "$directory/memory"
mkdir upper work root
mount -t overlay -o "lowerdir=$files,upperdir=upper,workdir=work" overlay root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=0755 tmpfs sys/fs/cgroup
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd,xattr cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=0755 tmpfs dev
for device in null zero full random urandom tty; do
    touch "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=0755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
ip link set lo up
hostname machine
mkdir host
pivot_root . host
echo "$process" >"host$directory/pid"
umount -l host
rmdir host
# As systemd itself has it where it is no container's: mounts of credentials reach those that they are for.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system
