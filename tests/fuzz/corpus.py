#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: corpus.py FOLDER - makes the seeds: FOLDER/text, csv, oracle and options, a file a case.

The first of each are what the formats are for, the rest is what may come instead; a fuzzer goes on from both.
"""
import gzip
import os
import struct
import sys


def record(object_id, time=1, size=4096, following=-1):
    return struct.pack("<IQIq", time, object_id, size, following)


CONTENTS = {
    "text": {
        "plain": b"0\n1\n2\n1\n0\n4095\n",
        "ops": b"3\n5 r\n7 W\n0 read\n1,write\n2\tGET\n9 set\n",
        "comments": b"# a trace, of pages\n\n  12 r # hot\n\t\n7#\n",
        "comment_says_offset": b"3 # offset 12288\n4 w # and its offset\n",
        "many_pages": b"".join(b"%d\n" % (i * 1237 % 4096 % 3001) for i in range(3200)),
        "crlf": b"1\r\n2 w\r\n\r\n3\r",
        "byte_order_mark": b"\xef\xbb\xbf8\n9 w\n",
        "byte_order_mark_alone": b"\xef\xbb\xbf",
        "utf16": "7\n8\n9 r\n10\n".encode("utf-16"),
        "no_newline": b"1\n2",
        "blank_lines": b"\n\n\n",
        "empty": b"",
        "negative": b"1\n-1\n",
        "at_the_end": b"4095\n4096\n",
        "too_large": b"1\n18446744073709551615\n18446744073709551616\n",
        "zero_byte": b"1\n2\0\n3\0 r\n",
        "escapes": b"1\n\x1b[2J\x07\n",
        "longest_line": b"8" + b" " * 4095 + b"\n7\n",
        "longest_line_crlf": b"8" + b" " * 4095 + b"\r\n7\n",
        "too_long_line": b"1\n8" + b" " * 4096 + b"\n7\n",
        "too_long_line_cut": b"7" * 6000,
        "binary_after_a_while": b"12\n" * 1400 + b"\0\1\2\3" * 8,
        "gzip": gzip.compress(b"1\n2\n3\n", mtime=0),
        "zstd": b"\x28\xb5\x2f\xfd\x04\x58\x31\0\0" + b"1\n2\n3\n",
    },
    "csv": {
        "plain": b"offset,size,op\n0,4096,r\n8192,4096,w\n",
        "columns_in_any_order": b"time,Op,host,Length,Byte_Offset\n1,Read,a,512,512\n2,WRITE,b,8192,100\n",
        "offset_alone": b"offset\n0\n40960\n",
        "quotes": b'"time","offset","io_size"\n"1"," 4096 ","1"\n',
        "comments": b"# made by hand, at home\noffset,size\n# the first\n0,1\n\n4096,1\n",
        "crlf": b"offset,size\r\n0,1\r\n\r\n4096,1",
        "byte_order_mark": b"\xef\xbb\xbfoffset,size\n4096,4096\n",
        "across_pages": b"offset,size\n4095,2\n1,8192\n",
        "nothing": b"offset,size\n0,0\n",
        "end_of_the_numbers": b"offset,size\n18446744073709551615,0\n18446744073709551614,1\n",
        "over_the_end": b"offset,size\n18446744073709551615,1\n",
        "gibibyte": b"offset,size\n0,1073741824\n",
        "more_than_a_gibibyte": b"offset,size\n0,1073741825\n",
        "last_page": b"offset,size\n16773120,4096\n16773120,4097\n",
        "negative": b"offset,size\n-4096,1\n0,-1\n",
        "no_offset": b"time,size\n1,2\n",
        "few_fields": b"offset,size\n1\n",
        "many_fields": b"offset,size\n1,2,3\n",
        "many_columns": b"," * 64 + b"offset\n",
        "just_so_many_columns": b"," * 63 + b"offset\n" + b"," * 63 + b"4096\n",
        "offset_twice": b"offset,offset,op,op\n4096,x,r,y\n",
        "bad_op": b"offset,op\n0,trim\n",
        "empty_fields": b"offset,size,op\n,,\n",
        "escapes": b"offset,op\n0,\x1b[2J\n",
        "escapes_in_the_offset": b"offset\n\x1b]0;title\x07\n",
        "zero_byte": b"offset,op\n0,r\0w\n",
        "header_alone": b"offset,size",
        "gzip": gzip.compress(b"offset\n0\n", mtime=0),
    },
    "oracle": {
        "plain": b"".join(record(page, time) for time, page in enumerate([0, 1, 2, 1, 0, 4095])),
        "ids": b"".join(map(record, [1 << 63, 7, (1 << 64) - 1, 7, 0])),
        "sparse": b"".join(map(record, [15, 3, 11, 16, 3])),
        "all_zeros": bytes(48),
        "cut_off": record(5) + record(6)[:-1],
        "one_byte": b"\0",
        "empty": b"",
        "beyond": record(4095) + record(4096),
        "starts_as_gzip_does": record(1, time=0x12348B1F),
        "a_hundred": b"".join(record(page * page % 97) for page in range(100)),
    },
    "options": {
        "none": b"",
        "trace": b"--trace\nt.csv\n--format\ncsv\n--map\ndense\n--memory\n1G\n--verify\n--json\n",
        "pattern": b"--pattern=mixed\n--theta=0.5\n--writes=20\n--accesses=10\n--seconds=1.5\n--seed=9\n",
        "file": b"--file\nd\n--write-file\n--verify\n--sync-every\n10\n--journal\nj\n--buffered\n",
        "made": b"--size\n1M\n--keep\n--policy\nhelp\n--progress\nnever\n--help\n",
        "tuning": b"--nodes\n2\n--swappiness\n0\n--swap-cluster-max\n32\n--watermark-scale-factor\n10\n"
                  b"--min-free\n1MiB\n--dirty-pct\n30\n--dirty-background-pct\n10\n--laptop-mode\n"
                  b"--no-huge-pages\n--no-io-uring\n",
        "reclaim": b"--reclaim\nnofs,noio\n--reclaim\nnomemalloc,default\n--reclaim-every\n7\n"
                   b"--threads\n4\n--depth\n32\n",
        "empty_words": b"--memory\n\n--trace\n\n",
        "numbers": b"--memory\n18446744073709551616\n--size\n1e99\n-1\n0x10\n5X\n.\n1e-400\n00\n",
        "hexadecimal": b"--theta\n0x1p0\n",
        "no_options": b"-xyz\n-\n--\n--memory\n",
        "shortened": b"--mem\n8M\n--no\n--js\n",
        "value_missing": b"--memory",
        "contradiction": b"--trace\nt\n--pattern\nscan\n",
    },
}


def main():
    for kind, cases in CONTENTS.items():
        folder = os.path.join(sys.argv[1], kind)
        os.makedirs(folder, exist_ok=True)
        for name in set(os.listdir(folder)) - set(cases):
            os.remove(os.path.join(folder, name))
        for name, contents in cases.items():
            with open(os.path.join(folder, name), "wb") as out:
                out.write(contents)


if __name__ == "__main__":
    main()
