# Builds for 64-bit Arm on x86-64 Debian (crossbuild-essential-arm64, qemu-user and the :arm64 packages of tests/setup):
# PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig cmake -S . -B build/aarch64 -G Ninja --toolchain .cmake/aarch64.cmake
# Its tests run under qemu-aarch64; those that compile CUDA need NVRTC for that machine.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64)
set(PKG_CONFIG_EXECUTABLE /usr/bin/pkg-config)
