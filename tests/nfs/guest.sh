#!/bin/sh
# The first process of the guest that tests/nfs/run boots: starts the kernel's NFS server over a
# tmpfs, mounts it for two clients, runs the tests, says how they ended, and ends the guest.
# TREE, OUT and PYTHON come with the kernel's command line.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
export HOME=/run/home TMPDIR=/run/tmp

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o size=1g tmpfs /run # not /tmp, where the tree may be
mount -t tmpfs tmpfs /var/lib/nfs
mkdir -p /run/out /run/home /run/tmp /run/server /run/one /run/two /run/modules/lib /var/lib/nfs/v4recovery
mkdir -p /var/lib/nfs/rpc_pipefs /var/lib/nfs/sm
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t hostfs -o "$OUT" none /run/out # the one place where the guest may write on the host
echo 2 > /run/out/status

fail() {
    echo "test-nfs: $1"
    poweroff_now
}

poweroff_now() {
    sync
    echo o > /proc/sysrq-trigger
    sleep 60
}

ip link set lo up || fail "no loopback"
ln -s /usr/lib/uml/modules /run/modules/lib/modules
for module in sunrpc nfs nfsv4 nfsd; do
    modprobe -d /run/modules "$module" || fail "no module $module"
done
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs

# A short lease, since a server that starts anew waits for it before it lets anybody write.
echo 10 > /proc/fs/nfsd/nfsv4leasetime
echo 10 > /proc/fs/nfsd/nfsv4gracetime
mount -t tmpfs -o size=512m tmpfs /run/server
exportfs -o rw,no_subtree_check,no_root_squash,fsid=0 127.0.0.1:/run/server || fail "no export"
rpc.mountd -N 3
rpc.nfsd -N 3 -V 4 4 || fail "no server"

# Soft, since a test takes the server away; nosharecache, so that each has caches of its own.
options=vers=4.2,soft,timeo=10,retrans=2,nosharecache
mount -t nfs4 -o "$options" 127.0.0.1:/ /run/one || fail "no mount"
mount -t nfs4 -o "$options,lookupcache=none,actimeo=1" 127.0.0.1:/ /run/two || fail "no second mount"

echo "test-nfs: Linux $(uname -r), NFS utilities $(dpkg-query -W -f '${Version}' nfs-kernel-server)"
grep -E ' /run/(one|two) ' /proc/mounts
cd "$TREE" || fail "no $TREE"
set --
while read -r argument; do set -- "$@" "$argument"; done < /run/out/arguments
export ISSUELAKE_NFS=/run/one:/run/two
export PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/run/hypothesis
"$PYTHON" -m pytest --color=no -p no:cacheprovider "$@"
echo $? > /run/out/status
poweroff_now
