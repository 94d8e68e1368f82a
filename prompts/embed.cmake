# Turns text files into one C file with a table of them, declared in a header:
# cmake -DOUT=templates.c -DTABLE=kds_templates -DHEADER=prompts/template.h -DFILES=a.md,b.md -P embed.cmake
# Byte arrays, as string literals have a length limit in C17.
string(REPLACE "," ";" FILES "${FILES}")
set(arrays "")
set(table "")
set(number 0)
foreach(file ${FILES})
    get_filename_component(name ${file} NAME)
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" bytes "${bytes}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
    string(APPEND arrays "static const unsigned char text_${number}[] = {\n${bytes}0x00};\n\n")
    string(APPEND table "    {\"${name}\", text_${number}, sizeof text_${number} - 1},\n")
    math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT}
    "#include \"${HEADER}\"\n\n${arrays}"
    "const kds_template ${TABLE}[] = {\n${table}    {NULL, NULL, 0},\n};\n")
