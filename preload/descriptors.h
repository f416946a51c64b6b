/* SPDX-License-Identifier: MIT */
#ifndef WEIR_DESCRIPTORS_H
#define WEIR_DESCRIPTORS_H

/* All that are open above fd_floor are the engine's: at its start, when the program has none there yet. */
void descriptors_note(void);

#endif
