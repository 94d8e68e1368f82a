# Turns a text file into a byte array: cmake -DOUT=x.inc -DFILE=x.cu -DNAME=x_cu -P embed.cmake
# String literals have a length limit in C17.
file(READ ${FILE} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUT} "static const unsigned char ${NAME}[] = {\n${bytes}0x00};\n")
