// empty.c - a program that does nothing: the start-up code that each linked figure contains.
// SPDX-License-Identifier: Apache-2.0
int main(void) { return 0; }
