#!/bin/sh
# Boots this system's systemd on a copy of this system that forgets everything, in namespaces that
# `unshare` has made. It ends when the check has ended, with its exit code.
# $1: an empty directory; $2: the package; $3: the check; $4: a file for what the check says.
set -eu
root=$1/root
mount -t tmpfs -o mode=0755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$root"
for directory in run tmp var/log etc/systemd/system; do
    mount -t tmpfs -o mode=0755 tmpfs "$root/$directory"
done

# The kernel is everybody's: only the network's switches, which are this namespace's, can be set.
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,rw "$root/proc/sys/net"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
mkdir "$root/dev/net" "$root/dev/shm" "$root/dev/pts"
for device in null zero full random urandom tty net/tun; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
: >"$root/dev/check.log"
mount --bind "$4" "$root/dev/check.log"

# Nothing of what this host has configured to start is started.
: >"$root/etc/fstab"
rm -f "$root/usr/sbin/policy-rc.d"
for unit in systemd-sysctl.service systemd-modules-load.service modprobe@.service \
    systemd-journald-audit.socket systemd-udevd.service systemd-udev-trigger.service; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
done
cp "$2" "$root/sealway.deb"
cp "$3" "$root/check.sh"
cat >"$root/etc/systemd/system/check.service" <<'UNIT'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/sh /check.sh
StandardOutput=file:/dev/check.log
StandardError=file:/dev/check.log
ExecStopPost=/bin/systemctl exit $EXIT_STATUS
UNIT
give_up=-sys_module,-sys_time,-sys_rawio,-sys_boot,-syslog,-audit_control,-audit_read,-wake_alarm
exec setpriv --bounding-set "$give_up" --inh-caps "$give_up" \
    env -i container=sealway PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" /lib/systemd/systemd --unit=check.service --show-status=no --log-target=null
