// All kernels for one instruction set; setup.py has its flags.
#define CPU_CAPABILITY AVX2
#define CPU_CAPABILITY_AVX2

#include "bands.cpp"
#include "boundaries.cpp"
#include "label_maps.cpp"
#include "regions.cpp"
