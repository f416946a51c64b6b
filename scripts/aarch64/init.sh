#!/busybox sh
# SPDX-License-Identifier: MIT
# The emulated machine's first process: mounts what a system has, runs the tests, switches the machine off.
# Started by emulate.py. The kernel gives what it does not know on its command line as variables: guest is guest.py's path.
set -e
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sys /sys
/busybox mount -t devtmpfs dev /dev
/busybox insmod /virtio_blk.ko
# A disk's place among its like is not certain: the larger one is the system's.
/busybox mount -t ext4 /dev/vda /root 2>/dev/null || /busybox mount -t ext4 /dev/vdb /root
results=/dev/vdb
if /busybox grep -q '^/dev/vdb /root' /proc/mounts; then results=/dev/vda; fi
for folder in proc sys dev; do
	/busybox mount --move /$folder /root/$folder
done
exec /busybox switch_root /root /bin/bash -c '
	export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
	mkdir -p /dev/shm /dev/pts
	ln -s /proc/self/fd /dev/fd
	mount -t tmpfs shm /dev/shm
	mount -t tmpfs run /run
	mount -t devpts pts /dev/pts
	mount -t tracefs trace /sys/kernel/tracing
	ldconfig
	python3 "$1" /tests.json "$2" </dev/null
	sync
	mount -o remount,ro /
	echo o >/proc/sysrq-trigger
	sleep 60' init "$guest" $results
