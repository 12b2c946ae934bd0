#!/bin/sh
# The first process of the guest that tests/nfs/run boots: starts the kernel's NFS server over a
# tmpfs, mounts it for two clients, runs the tests, says how they ended, and ends the guest.
# TREE, OUT and PYTHON come with the kernel's command line.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp/home LANG=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs -o size=1g,mode=1777 tmpfs /tmp
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib/nfs
mkdir -p /tmp/out /tmp/home /tmp/server /tmp/one /tmp/two /tmp/modules/lib /var/lib/nfs/v4recovery
mkdir -p /var/lib/nfs/rpc_pipefs /var/lib/nfs/sm
touch /var/lib/nfs/etab /var/lib/nfs/rmtab
mount -t hostfs -o "$OUT" none /tmp/out # the one place where the guest may write on the host
echo 2 > /tmp/out/status

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
ln -s /usr/lib/uml/modules /tmp/modules/lib/modules
for module in sunrpc nfs nfsv4 nfsd; do
    modprobe -d /tmp/modules "$module" || fail "no module $module"
done
mount -t nfsd nfsd /proc/fs/nfsd
mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs

# A short lease, since a server that starts anew waits for it before it lets anybody write.
echo 10 > /proc/fs/nfsd/nfsv4leasetime
echo 10 > /proc/fs/nfsd/nfsv4gracetime
mount -t tmpfs -o size=512m tmpfs /tmp/server
exportfs -o rw,no_subtree_check,no_root_squash,fsid=0 127.0.0.1:/tmp/server || fail "no export"
rpc.mountd -N 3
rpc.nfsd -N 3 -V 4 4 || fail "no server"

# Soft, since a test takes the server away; nosharecache, so that each has caches of its own.
options=vers=4.2,soft,timeo=10,retrans=2,nosharecache
mount -t nfs4 -o "$options" 127.0.0.1:/ /tmp/one || fail "no mount"
mount -t nfs4 -o "$options,lookupcache=none,actimeo=1" 127.0.0.1:/ /tmp/two || fail "no second mount"

echo "test-nfs: Linux $(uname -r), NFS utilities $(dpkg-query -W -f '${Version}' nfs-kernel-server)"
grep -E ' /tmp/(one|two) ' /proc/mounts
cd "$TREE" || fail "no $TREE"
set --
while read -r argument; do set -- "$@" "$argument"; done < /tmp/out/arguments
export ISSUELAKE_NFS=/tmp/one:/tmp/two
export PYTHONDONTWRITEBYTECODE=1 HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis
"$PYTHON" -m pytest --color=no -p no:cacheprovider "$@"
echo $? > /tmp/out/status
poweroff_now
