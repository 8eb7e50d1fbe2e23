#!/bin/sh
# Makes a fresh Debian tree ($1) a machine of the lab. What is personal to one machine is written later, by machines.py.
set -eu

# Not networkd: where /sys is writable, as it is here, it waits for a udev that containers do not have.
cat > "$1/etc/systemd/system/lab-network.service" <<'END'
[Unit]
Description=Static address of a lab machine
DefaultDependencies=no
Before=network.target network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
EnvironmentFile=/etc/default/lab-network
ExecStart=/bin/ip link set eth0 up
ExecStart=/bin/ip address replace ${ADDRESS} dev eth0
ExecStart=/bin/ip route replace default via ${GATEWAY}

[Install]
WantedBy=multi-user.target network-online.target
END
chroot "$1" systemctl enable lab-network.service ssh.service
chroot "$1" systemctl disable systemd-networkd.service
chroot "$1" systemctl mask systemd-modules-load.service
rm -f "$1"/etc/ssh/ssh_host_* "$1/etc/resolv.conf" "$1/etc/hostname"
: > "$1/etc/machine-id"
install -d -m 0700 "$1/root/.ssh"
# A lab has no names to wait for.
echo 'UseDNS no' > "$1/etc/ssh/sshd_config.d/lab.conf"
# As on every Debian, where a package that this tree does not have sets them. They are the whole machine's, and audits judge them.
printf 'fs.protected_hardlinks = 1\nfs.protected_symlinks = 1\n' > "$1/etc/sysctl.d/lab.conf"
