# Boot a throw-away machine and become its systemd-nspawn. box.py calls this in a mount namespace of its own:
#     unshare --mount bash boot.sh NAME WORK LAYER...        (layers: the uppermost first)
set -eu
name=$1 work=$2 layers=$3
mount --make-rprivate /

# In memory, over the layers: a machine as it was never used, and nothing to tidy up.
mount -t tmpfs -o mode=0755 tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/tree"
mount -t overlay overlay -o "lowerdir=$layers,upperdir=$work/upper,workdir=$work/work" "$work/tree"

# A cgroup of its own: --keep-unit puts the machine's cgroups below the caller's, where two machines would share them.
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$name"
echo $$ > "/sys/fs/cgroup/$name/cgroup.procs"
mount -t tmpfs tmpfs /run

exec systemd-nspawn --quiet --directory="$work/tree" --machine="$name" --hostname=box --boot --register=no --keep-unit \
    --console=pipe --private-network --link-journal=no --resolv-conf=off --timezone=off
