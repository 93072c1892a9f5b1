# The package's whole life in a system that has just booted: installed, without and with a
# configuration, reloaded, killed, installed again, stopped, removed.
set -eux
trap 'code=$?; [ $code -eq 0 ] || journalctl --unit sealway --no-pager --lines 40; exit $code' EXIT

# Small systems leave documents out, and the example is one.
install() {
    dpkg --path-include '/usr/share/*' --force-unsafe-io --no-triggers --install /sealway.deb
}
guarded() { nft list table inet sealway-seal0 >/dev/null 2>&1; }
# set -e does not see what `!` turns round.
not() { if "$@"; then return 1; fi; }
main_process() { systemctl show --property MainPID --value sealway; }

# A host that has the example's address.
ip link set lo up
ip link add outside type veth peer name other
ip address add 192.0.2.1/24 dev outside
ip link set outside up
ip link set other up

# Without a configuration there is nothing to start, and that is no failure.
install
[ "$(stat -c '%a %U' /etc/sealway)" = '700 root' ]
[ "$(systemctl is-enabled sealway)" = enabled ]
[ "$(systemctl is-active sealway || true)" = inactive ]
[ "$(systemctl is-failed sealway || true)" = inactive ]
man --where sealway sealway-up 2>/dev/null || ls /usr/share/man/man1/sealway-up.1.gz

# With one it is ready when `systemctl start` returns.
cp /usr/share/doc/sealway/examples/* /etc/sealway
chmod 0600 /etc/sealway/site.setkey
sealway check --strict /etc/sealway/sealway.toml
systemctl start sealway
systemctl status --no-pager sealway
sealway status
sealway status | grep 'system calls held'
# How far files are held is the kernel's affair; that it says so is ours.
sealway status | grep -E 'leash: files (held|not held: )'
sealway status | grep '2 policies, 2 SAs'
guarded

systemctl reload sealway
sealway status | grep 'read again 1 times'

# Killed, it leaves the guard and is started again.
restarted() {
    [ "$(systemctl show --property NRestarts --value sealway)" = 1 ] &&
        systemctl is-active --quiet sealway
}
systemctl kill --signal KILL --kill-whom main sealway
guarded
for _ in $(seq 100); do
    if restarted; then break; fi
    sleep 0.2
done
restarted
sealway status

# A newer version takes over.
before=$(main_process)
install
[ "$(main_process)" != "$before" ]
sealway status

systemctl stop sealway
[ "$(systemctl is-active sealway || true)" = inactive ]
[ "$(systemctl show --property Result --value sealway)" = success ]
not guarded
not ip link show seal0

# Removed while it runs. Keys and numbers stay for as long as there are keys.
systemctl start sealway
dpkg --force-unsafe-io --no-triggers --remove sealway
not guarded
not pgrep --exact sealway
[ -e /etc/sealway/site.setkey ]
dpkg --force-unsafe-io --no-triggers --purge sealway
[ -e /etc/sealway/site.setkey ]
[ -e /var/lib/sealway/numbers ]
echo 'all is well'
