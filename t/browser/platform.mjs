// What a page has for the scripts of t/stompjs, instead of Node's.

export const stompjs = globalThis.StompJs;
export const address = globalThis.location.host;
export const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);
export const exit = (code) => console.log(`exit ${code}`);
