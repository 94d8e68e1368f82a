#include "prompts/reply.h"
