#!/usr/bin/env bash
# Runs board.ts under another Linux, in an emulated machine. Arguments: amd64 or arm64, a suite of Debian, and a package
# of that suite with a kernel. For example:
#
#   npm run kernels -- arm64 bookworm linux-image-6.1.0-50-cloud-arm64
#
# Needs Debian (apt, dpkg), a mirror (MIRROR) and the npm registry, cpio, and qemu-system-x86 or qemu-system-arm. Needs
# neither KVM nor root, 3 GB of memory, and about ten minutes. The newest names of kernels: apt-cache search linux-image
# (since Linux 7.3 the kernel itself is in linux-binary-…).
set -euo pipefail
arch=$1 suite=$2 kernel=$3
mirror=${MIRROR:-http://deb.debian.org/debian}
libraries=trixie
version=$(node -p process.versions.node)
project=$(pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
case $arch in
  amd64) npm=x64 emulator=(qemu-system-x86_64 -M q35 -cpu max) console=ttyS0 ;;
  arm64) npm=arm64 emulator=(qemu-system-aarch64 -M virt -cpu max,pauth-impdef=on) console=ttyAMA0 ;;
esac

# Packages of Debian, without touching those of this machine.
mkdir -p "$folder"/{apt/lists/partial,apt/cache/archives/partial,apt/empty,debs,kernel,root}
touch "$folder/apt/status"
for one in "$suite" "$libraries"; do
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $one main"
done | sort -u > "$folder/apt/sources.list"
cat > "$folder/apt/apt.conf" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
Dir::State "$folder/apt";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt/cache";
Dir::Etc::sourcelist "$folder/apt/sources.list";
Dir::Etc::sourceparts "$folder/apt/empty";
END
export APT_CONFIG=$folder/apt/apt.conf
apt-get update -q
cd "$folder/debs"
apt-get download -q "$kernel/$suite" {libc6,libstdc++6,libgcc-s1,libatomic1,busybox-static}/$libraries
dpkg-deb -x linux-*.deb "$folder/kernel"
rm linux-*.deb

# The root file system is in memory: busybox, Node and its libraries, and this project.
root=$folder/root
# The folders of Debian that are links into usr.
for name in bin lib lib64 sbin; do mkdir -p "$root/usr/$name" && ln -s "usr/$name" "$root/$name"; done
for deb in *.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"; done
rm -rf "$root"/usr/share "$root"/usr/lib/*/gconv
npm pack --silent --pack-destination "$folder" "node-linux-$npm@$version" > "$folder/packed"
tar -xf "$folder"/node-linux-*.tgz -C "$root/usr" --strip-components=1 package/bin/node
mkdir -p "$root"/{proc,sys,dev,tmp,project/node_modules}
cp -r "$project"/{package.json,src,test,workers} "$root/project"
cp -rL "$project"/node_modules/{ws,eventemitter3,jose,jsonc-parser,piscina} "$root/project/node_modules"
cat > "$root/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox ip link set lo up
cd /project
NODE_COMPILE_CACHE=/tmp /bin/node --disable-warning=ExperimentalWarning test/kernels/board.ts 2>&1
echo "exit status $?"
/bin/busybox poweroff -f
END
chmod 755 "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) > "$folder/initrd"
image=$(find "$folder/kernel" -name 'vmlinuz*' -type f)
"${emulator[@]}" -accel tcg -smp 2 -m 3072 -nographic -no-reboot \
  -kernel "$image" -initrd "$folder/initrd" -append "console=$console quiet panic=-1" | tee "$folder/output"
grep -q '^exit status 0' "$folder/output"
