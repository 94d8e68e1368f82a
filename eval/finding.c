#include "eval/finding.h"
