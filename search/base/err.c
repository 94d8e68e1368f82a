#include "search/base/err.h"
