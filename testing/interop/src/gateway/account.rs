//! What those who took part in a row that failed say about it: a log of CI is all that is left.

use std::time::Duration;

use crate::host::Host;

/// How long an end may take to answer.
const LIMIT: Duration = Duration::from_secs(20);

/// How the connections of this namespace stand: timers, what is not acknowledged, what is lost.
pub(super) const CONNECTIONS: &str = "ss -tnoei 2>/dev/null || cat /proc/net/tcp /proc/net/tcp6";

/// What the kernel counted: packets of devices, of protocols, of its own IPsec.
const COUNTED: &str = "ip -s link
ip -s xfrm state 2>/dev/null
cd /proc/net
for file in snmp6 xfrm_stat; do [ -r $file ] && grep -v '[[:space:]]0$' $file; done
grep -E '^(Ip|Icmp|Udp):' snmp
nstat -as 2>/dev/null | grep TcpExt";

/// Where it sends what.
const ROUTES: &str = "for family in -4 -6; do
  ip $family rule; ip $family route show table all; ip $family neigh
done";

/// Prints what the kernels of these hosts have counted, and where they send what.
pub(super) fn print(hosts: &[(&str, &dyn Host)]) {
    for (name, host) in hosts {
        for script in [COUNTED, ROUTES] {
            print_text(name, &answer(*host, script));
        }
    }
}

/// Prints a text with a name before each of its lines.
pub(super) fn print_text(name: &str, text: &str) {
    for line in text.lines() {
        println!("  {name}| {line}");
    }
}

/// What a host says, or why it says nothing.
pub(super) fn answer(host: &dyn Host, script: &str) -> String {
    match host.sh(script, LIMIT) {
        Ok(reply) => reply.output,
        Err(error) => format!("{error:#}\n"),
    }
}
