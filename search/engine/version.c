/* The library's version. */
#include "search/kdasearch.h"

const char *kds_version(void)
{
    return KDS_VERSION_STRING;
}
