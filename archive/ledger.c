#include "archive/ledger.h"
