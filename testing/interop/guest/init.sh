#!/bin/sh
# Process 1 of the peer: a user-mode Linux whose root is this machine's, read-only, through hostfs.
# The kernel's command line carries sw_directory (scripts, hidden once /run is mounted) and sw_mac.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sys /sys
[ -c /dev/null ] || mount -t devtmpfs dev /dev
for word in $(cat /proc/cmdline); do
  case $word in sw_*=*) eval "$word" ;; esac
done
mount -t tmpfs tmpfs /tmp
mkdir /tmp/sealway
cp "$sw_directory"/* /tmp/sealway/
mount -t tmpfs tmpfs /run

# Modules of this kernel live in a place of their own. All that the rows need are loaded here: for
# each combination of ciphers a kernel that may look for modules looks twice and in vain, for seconds.
mkdir -p /tmp/modules/lib
ln -s /usr/lib/uml/modules /tmp/modules/lib/modules
modprobe -d /tmp/modules -qa ipv6 xfrm_user esp4 esp6 ctr cbc gcm ccm ghash-generic seqiv echainiv \
  drbg jitterentropy_rng authenc authencesn chacha20poly1305 chacha_generic poly1305_generic hmac \
  sha512_generic xcbc
echo > /proc/sys/kernel/modprobe

cd /proc/sys/net
for file in ipv4/conf/all/rp_filter ipv4/conf/default/rp_filter ipv6/conf/all/accept_dad \
  ipv6/conf/default/accept_dad ipv6/conf/default/router_solicitations ipv4/icmp_ratelimit \
  ipv6/icmp/ratelimit; do
  echo 0 > $file
done
echo 1 > ipv4/ip_forward
echo 1 > ipv6/conf/all/forwarding
cd /

# The control device has a namespace of its own: the other one holds nothing but lo and data0.
ip link set lo up
ip netns add control
ip link set vec0 netns control
ip -n control addr add 169.254.77.2/24 dev vec0
ip -n control link set vec0 up
ip -n control link set lo up
ip link set vec1 name data0
ip link set data0 address "$sw_mac"
# It is silent until the other end is in its place.
echo 1 > /proc/sys/net/ipv6/conf/data0/disable_ipv6
ip link set data0 up

echo "SEALWAY-PEER-READY $(uname -r)"
# The agent: each connection is a shell in the namespace of this process.
ip netns exec control socat TCP-LISTEN:77,fork,reuseaddr,nodelay,bind=169.254.77.2 \
  EXEC:"nsenter -t 1 -n sh" &
while :; do
  wait
  sleep 3600 &
  wait $!
done
