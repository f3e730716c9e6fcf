/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the embedded applications say, with the line break. */
#ifndef GREETING_H
#define GREETING_H

static const char GREETING[] = "hello from a Linux of my own\n";

#endif
