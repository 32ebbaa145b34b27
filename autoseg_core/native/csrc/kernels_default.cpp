// All kernels for one instruction set; setup.py has its flags.
#define CPU_CAPABILITY DEFAULT
#define CPU_CAPABILITY_DEFAULT

#include "bands.cpp"
#include "boundaries.cpp"
#include "label_maps.cpp"
#include "regions.cpp"
