const newline = 10;
const space = 32;
const zero = 48;
/** Digits of a time in nanoseconds, and of the seconds in it. */
const timeDigits = 19;
const secondDigits = 10;

/**
 * Moves the times of all lines by whole seconds, in place, so that a body can be sent again as other points. Every
 * line ends in a space and a time of 19 digits.
 */
export function shiftTimes(body: Buffer, seconds: number): void {
  for (let end = body.indexOf(newline); end >= 0; end = body.indexOf(newline, end + 1)) {
    const from = end - timeDigits;
    if (body[from - 1] !== space) throw new Error(`shifting times: want 19 digits before byte ${end}`);
    let time = 0;
    for (let at = from; at < from + secondDigits; at++) time = time * 10 + (body[at] as number) - zero;
    time += seconds;
    for (let at = from + secondDigits - 1; at >= from; at--) {
      body[at] = zero + (time % 10);
      time = Math.floor(time / 10);
    }
  }
}
