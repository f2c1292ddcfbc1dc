// A client of the native protocol over TCP, written from docs/wire.md alone: no code of the house. It logs on, sends numbered orders, hears its account's
// events, comes again when the connection ends, and goes on behind the highest number that was applied.
//   node client.mjs PORT KEY KEY.pem INSTRUMENT COUNT      prints how many are answered after each tenth, and a line of JSON after the last
import net from "node:net";
import {createPrivateKey, sign} from "node:crypto";
import {readFileSync} from "node:fs";

const [port, key, pem, instrument, count] = process.argv.slice(2);
const HELLO = 1, SUBMIT = 3, RECEIVED = 4, REFUSED = 5, SUBSCRIBE = 6, PULL = 7, EVENTS = 9, PING = 12, PONG = 13, BYE = 14, CHALLENGE = 15, LOGON = 16, ADMITTED = 17;
const VERSION = 2, CLIENT = 5, ACCOUNT = 2, NUMBERED = 1, NEW_ORDER = 30, TOGETHER = 50, AHEAD = 500, CREDIT = 4096;
const secret = createPrivateKey(readFileSync(pem));
const told = {answers: {}, connections: 0, events: 0, byes: [], refused: []};
let cursor = 1;                                         // the first event not heard yet
let last = 0;                                           // the highest number answered
let mark = Math.floor(count / 10);

function frame(verb, request, body) {
    const head = Buffer.alloc(12);
    head.writeUInt32LE(12 + body.length, 0);
    head.writeUInt8(verb, 4);
    head.writeUInt32LE(request, 8);
    return Buffer.concat([head, body]);
}

function order(number, who) {
    const r = Buffer.alloc(128);
    r.writeUInt16LE(NEW_ORDER, 0);
    r.writeUInt16LE(NUMBERED, 2);
    r.writeUInt32LE(Number(instrument), 4);
    r.writeUInt32LE(who.account, 8);
    r.writeUInt32LE(who.actor, 12);
    r.writeBigInt64LE(BigInt(number), 32);              // id_lo
    r.writeBigInt64LE(BigInt(PRICE), ARGUMENT.price);
    r.writeBigInt64LE(BigInt(QUANTITY), ARGUMENT.quantity);
    return r;
}
const ARGUMENT = {price: 64, quantity: 72}, PRICE = 455_000, QUANTITY = 10_000;

function connect() {
    const socket = net.connect(Number(port), "127.0.0.1");
    let have = Buffer.alloc(0), who = null, next = 0, requests = 1, credit = CREDIT;
    socket.setNoDelay(true);
    socket.on("connect", () => {
        const body = Buffer.alloc(8);
        body.writeUInt16LE(VERSION, 0);
        body.writeUInt16LE(CLIENT, 2);
        socket.write(frame(HELLO, 0, body));
    });
    const more = () => {
        while (who && next <= Number(count) && next <= last + AHEAD) {
            const rows = [];
            for (; rows.length < TOGETHER && next <= Number(count); next++) rows.push(order(next, who));
            const size = Buffer.alloc(4);
            size.writeUInt32LE(rows.length, 0);
            socket.write(frame(SUBMIT, ++requests, Buffer.concat([size, ...rows])));
        }
    };
    const events = body => {
        const first = Number(body.readBigInt64LE(8)), n = body.readUInt32LE(24);
        if (n && first !== cursor) throw new Error(`event ${first} where ${cursor} is next`);
        for (let i = 0; i < n; i++) {
            const at = 28 + 96 * i, number = Number(body.readBigInt64LE(at + 88));
            if (body.readUInt16LE(at + 6) !== NEW_ORDER) continue;
            (told.answers[number] ??= []).push(body.readUInt16LE(at));
            last = Math.max(last, number);
        }
        told.events += n;
        cursor += n;
        credit -= n;
        if (credit < CREDIT / 2) {
            const back = Buffer.alloc(4);
            back.writeUInt32LE(CREDIT - credit, 0);
            socket.write(frame(PULL, 1, back));
            credit = CREDIT;
        }
        more();
        const answered = Object.keys(told.answers).length;
        for (; mark <= answered && mark < count; mark += Math.floor(count / 10)) process.stdout.write(`${mark}\n`);
        if (answered >= Number(count)) {
            process.stdout.write(JSON.stringify(told) + "\n", () => process.exit(0));
            socket.removeAllListeners("data");
        }
    };
    socket.on("data", data => {
        have = Buffer.concat([have, data]);
        while (have.length >= 12 && have.length >= have.readUInt32LE(0)) {
            const size = have.readUInt32LE(0), verb = have.readUInt8(4), body = have.subarray(12, size);
            have = have.subarray(size);
            if (verb === CHALLENGE) {
                const text = `cambist-native-1\n${body.toString("hex")}\n${key}\n`;
                socket.write(frame(LOGON, 0, Buffer.concat([sign(null, Buffer.from(text), secret), Buffer.from(key)])));
            } else if (verb === ADMITTED) {
                who = {account: body.readUInt32LE(0), actor: body.readUInt32LE(4)};
                last = Number(body.readBigInt64LE(8));
                next = last + 1;
                told.connections++;
                const wanted = Buffer.alloc(24);
                wanted.writeUInt8(ACCOUNT, 0);
                wanted.writeBigInt64LE(BigInt(cursor), 8);
                wanted.writeUInt32LE(CREDIT, 16);
                socket.write(frame(SUBSCRIBE, 1, wanted));
                more();
            } else if (verb === EVENTS) {
                events(body);
            } else if (verb === PING) {
                socket.write(frame(PONG, 0, body));
            } else if (verb === REFUSED) {
                told.refused.push(body.readUInt16LE(0));
            } else if (verb === BYE) {
                told.byes.push(body.readUInt16LE(0));
            } else if (verb !== RECEIVED) {
                throw new Error(`verb ${verb}`);
            }
        }
    });
    socket.on("error", () => {});
    socket.on("close", () => setTimeout(connect, 100));
}
connect();
