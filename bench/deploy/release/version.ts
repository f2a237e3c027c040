/** The version of the program. The deploy demo writes another one for each release. */
export const VERSION = 1;
